"""Named locks shared by every machine of an etcd cluster.

    import locker

    with locker.connect("http://127.0.0.1:2379") as client:
        with client.lock("db-migrate", timeout=5) as guard:
            migrate(fence=guard.token)
"""

import atexit

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
]

# Shown in tracebacks, and pickled, under the names that programs use.
for _class in (Error, *Error.__subclasses__(), Info):
    _class.__module__ = __name__
del _class

# Locks end with the program, not with their lease: other machines need not wait for the ttl.
atexit.register(_disconnect_all)
