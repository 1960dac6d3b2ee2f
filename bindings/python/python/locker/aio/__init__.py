"""The same names as `locker`, for asyncio: what waits there is awaited here.

    from locker import aio

    async with aio.lock("db-migrate", reason="schema 42", timeout=5) as guard:
        await migrate(fence=guard.token)

Cancelling a task that waits leaves the queue, as does the end of `asyncio.timeout()` or `asyncio.wait_for()`. Errors and
Info are those of `locker`, and so is the default client, which the functions of both modules share. The objects may be used
in any event loop, and waiting costs no thread.
"""

from locker.aio._client import Client, connect
from locker.aio._default import default_client, get, lock, lock_all, try_lock, try_lock_all, watch
from locker.aio._guard import Guard
from locker.aio._locked import locked
from locker.aio._watcher import Watcher
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

# Shown by help() and in tracebacks under the names that programs use.
for _one in (
    *(Client, Guard, Watcher),
    *(connect, default_client, get, lock, lock_all, locked, try_lock, try_lock_all, watch),
):
    _one.__module__ = __name__
del _one
