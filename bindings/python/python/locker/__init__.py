"""Named locks shared by every machine of an etcd cluster.

    import locker

    with locker.lock("db-migrate", reason="schema 42", timeout=5) as guard:
        migrate(fence=guard.token)

That finds etcd by the environment: see default_client(). A program that knows better connects itself:

    with locker.connect("http://127.0.0.1:2379") as client:
        with client.lock("db-migrate", timeout=5) as guard:
            migrate(fence=guard.token)
"""

import atexit

from locker import _log
from locker._default import default_client, get, lock, lock_all, try_lock, try_lock_all, watch
from locker._locked import locked
from locker._locker import Client, Guard, Watcher, __version__, _disconnect_all, connect
from locker.errors import (
    CancelledError,
    DeniedError,
    Error,
    InternalError,
    InvalidError,
    LostError,
    TimeoutError,
    UnavailableError,
)
from locker.info import Info

__all__ = [
    "CancelledError",
    "Client",
    "DeniedError",
    "Error",
    "Guard",
    "Info",
    "InternalError",
    "InvalidError",
    "LostError",
    "TimeoutError",
    "UnavailableError",
    "Watcher",
    "connect",
    "default_client",
    "get",
    "lock",
    "lock_all",
    "locked",
    "try_lock",
    "try_lock_all",
    "watch",
]

# Shown in tracebacks and by help(), and pickled, under the names that programs use.
for _one in (
    *(Error, *Error.__subclasses__(), Info),
    *(connect, default_client, get, lock, lock_all, locked, try_lock, try_lock_all, watch),
):
    _one.__module__ = __name__
del _one


def _end() -> None:
    """Locks end with the program, not with their lease: other machines need not wait for the ttl."""
    try:
        _disconnect_all()
    finally:
        _log.flush()


atexit.register(_end)
