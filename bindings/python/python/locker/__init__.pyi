"""Named locks shared by every machine of an etcd cluster.

    import locker

    with locker.lock("db-migrate", reason="schema 42", timeout=5) as guard:
        migrate(fence=guard.token)

That finds etcd by the environment: see default_client(). A program that knows better connects itself:

    with locker.connect("http://127.0.0.1:2379") as client:
        with client.lock("db-migrate", timeout=5) as guard:
            migrate(fence=guard.token)
"""

import os
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Literal, NoReturn, final

from typing_extensions import Self

from locker._default import (
    default_client as default_client,
    get as get,
    lock as lock,
    lock_all as lock_all,
    try_lock as try_lock,
    try_lock_all as try_lock_all,
    watch as watch,
)
from locker._locked import locked as locked
from locker.errors import (
    CancelledError as CancelledError,
    DeniedError as DeniedError,
    Error as Error,
    InternalError as InternalError,
    InvalidError as InvalidError,
    LostError as LostError,
    TimeoutError as TimeoutError,
    UnavailableError as UnavailableError,
)
from locker.info import Info as Info

__version__: str

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

def connect(
    endpoints: str | Sequence[str] | None = None,
    *,
    prefix: str = "/locker/",
    ttl: float = 10.0,
    timeout: float = 5.0,
    username: str | None = None,
    password: str | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    cert_file: str | os.PathLike[str] | None = None,
    key_file: str | os.PathLike[str] | None = None,
) -> Client:
    """Connect to an etcd cluster.

    endpoints: one URL, several with commas between them, or a sequence of URLs. Left out: $LOCKER_ENDPOINTS, else
        $ETCDCTL_ENDPOINTS, else http://127.0.0.1:2379; and then all else that is left out comes from the environment,
        too, as far as it is there: see default_client().
    prefix: is put before every key; programs that share locks must agree on it. May be empty, which is how to share a
        lock with `etcdctl lock NAME`.
    ttl: seconds for which a dead process keeps its locks; at least 2, a fraction is rounded up to a whole second.
    timeout: seconds that everything may take that waits for etcd (and not for another holder of a lock).
    username, password: of an etcd user; both or none.
    ca_file: a PEM file with the certificate authorities to trust in place of the system's.
    cert_file, key_file: PEM files with the client's certificate chain and its key.

    Raises InvalidError if an argument is wrong, UnavailableError if no endpoint has answered within `timeout`, and
    DeniedError if etcd refuses the user.
    """

@final
class Client:
    """A connection to an etcd cluster, made by connect().

    Any thread may use it at any time. As a context manager it disconnects at the end of the block. A child made by
    fork cannot use it, nor anything that came from it: it connects anew.
    """

    def lock(
        self,
        name: str,
        *,
        value: str | None = None,
        reason: str | None = None,
        timeout: float | None = None,
        shared: bool = False,
        limit: int | None = None,
        on_lost: Callable[[LostError], object] | None = None,
    ) -> Guard:
        """Acquire the lock `name`, first come first served, and return its Guard. It is held when the call returns; `with`
        only ends it.

        name: 1 to 255 bytes of UTF-8 without NUL.
        value: what others read with get(), at most 1023 bytes of UTF-8. Left out: "<host>:<pid>".
        reason: why it is wanted, shown to those who find it busy, at most 255 bytes.
        timeout: seconds to wait for other holders. None: as long as it takes. 0: not at all.
        shared: hold it together with all others who ask for it so: the read side of a read-write lock. Who wants it alone
            waits until none of them is left, and those who come after him wait behind him.
        limit: hold it together with others, as long as there are no more of them than so many, 1 to 4294967295: a counting
            semaphore. All that want the lock at the same time have to say the same limit. Not with `shared`.
        on_lost: is called once, with the LostError, if the lock is lost while it is held; never after unlock(), which
            raises a LostError itself, nor after disconnect(). It runs on a thread that locker has for all such calls, one
            after the other, in a copy of the context that lock() was called in. What it raises goes to
            `sys.unraisablehook`.

        Ctrl-C ends the wait. A call that raises has left the queue and holds nothing.

        Raises TimeoutError (its `holder` says who holds the lock), UnavailableError, DeniedError, InvalidError (also if
        others share the lock with another limit: the text has both), or CancelledError if the client is disconnected
        meanwhile.
        """

    def try_lock(
        self,
        name: str,
        *,
        value: str | None = None,
        reason: str | None = None,
        shared: bool = False,
        limit: int | None = None,
        on_lost: Callable[[LostError], object] | None = None,
    ) -> Guard | None:
        """Acquire the lock `name` if nobody holds it, or with `shared` or `limit` if there is room; None if there is not.
        Nothing is left in the queue then.

        The arguments and errors are those of lock().
        """

    def lock_all(
        self,
        names: Iterable[str],
        *,
        value: str | None = None,
        reason: str | None = None,
        timeout: float | None = None,
        on_lost: Callable[[LostError], object] | None = None,
    ) -> Guard:
        """Acquire all these locks or none, and return one Guard for all of them. It is held, with one token, once it is the
        first in all their queues, and ends as a whole, also when only one of the locks is lost.

        names: an iterable of 1 to 60 names, none of them twice; not a str.
        value, reason: as in lock(). They are shown for each of the locks.
        timeout, on_lost: as in lock().

        Two such calls never wait for each other for ever, however their names overlap: where both want a lock, the earlier
        one is before the later. Who holds a guard already and asks for more may wait for ever, as with any lock.

        Ctrl-C ends the wait. A call that raises has left all the queues and holds nothing.

        Raises what lock() raises. The `holder` of a TimeoutError holds one of the locks: its `name` says which.
        """

    def try_lock_all(
        self,
        names: Iterable[str],
        *,
        value: str | None = None,
        reason: str | None = None,
        on_lost: Callable[[LostError], object] | None = None,
    ) -> Guard | None:
        """Acquire all these locks if nobody holds any of them; None if somebody does. Nothing is left in any queue then.

        The arguments and errors are those of lock_all().
        """

    def get(self, name: str, *, cached: bool = False) -> Info:
        """Who holds the lock `name`, read from etcd. A free lock is an Info with token 0.

        cached: answer from memory if this client watches the lock or waits for it, and else read. That takes less than a
            microsecond, and waits for nothing. What it tells was so at its `revision`, which never goes back. It is behind
            by what is on its way, and never more than 10 seconds old: memory is of no use from the moment when the
            connection to etcd breaks, or within these 10 seconds when etcd falls silent, until the watch has come to the
            present again.

        Raises UnavailableError, DeniedError, InvalidError or CancelledError (the client is disconnected).
        """

    def watch(self, name: str) -> Watcher:
        """Watch who holds the lock `name`: the Watcher gives the present holder first, then each change.

        Raises UnavailableError, DeniedError, InvalidError or CancelledError (the client is disconnected).
        """

    def disconnect(self) -> None:
        """End all guards and watchers of this client, and wait until etcd has confirmed it, at most for the client's
        timeout. A second call does nothing.

        Raises UnavailableError if etcd has not confirmed: the locks then end with their lease.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Guard:
    """One acquisition of one lock, made by Client.lock(), or of several at once, made by Client.lock_all(). It is never used
    again once it has ended.

    Any thread may use it at any time; one may lock and another unlock. As a context manager it unlocks at the end of
    the block; when it has ended before, the beginning raises what check() raises, and the block does not run. A guard
    that is garbage collected unlocks too, without waiting for etcd.
    """

    @property
    def name(self) -> str:
        """The lock's name; of several the first."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all its locks, in the order in which they were asked for: more than one if lock_all() made it."""

    @property
    def token(self) -> int:
        """The fencing token while the lock is held, else 0. Each holder of a name gets a greater one: have what the lock
        protects refuse a token lower than one it has seen. Among those who hold a lock together it says nothing; whoever
        holds it alone after them has a greater one than all of them.
        """

    @property
    def key(self) -> str:
        """The key in etcd that holds the lock, of several the first; empty while there is none."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in etcd that hold its locks, one for each name; empty while there are none."""

    @property
    def state(self) -> Literal["waiting", "held", "at_risk", "ended"]:
        """Where it stands: "waiting", "held", "at_risk" (held, but not renewed for so long that it may soon be lost) or
        "ended". It reads the clock in the call: a guard whose time ran out is "ended" whatever was heard from etcd.
        """

    @property
    def held(self) -> bool:
        """Whether the lock is held now, as far as this process can know."""

    @property
    def remaining(self) -> float:
        """Seconds for which the lock stays held if etcd stops answering now; 0 when it is not held."""

    def info(self) -> Info:
        """What Client.get() would say of this guard, from memory."""

    def check(self) -> None:
        """Raise LostError if the lock was lost, CancelledError if the guard was unlocked or its client disconnected.
        It asks nobody: call it as often as you like.
        """

    def lost(self) -> Error:
        """Wait until the lock is no longer held, and return why: a LostError, or a CancelledError after unlock() or
        disconnect() in another thread.
        """

    def unlock(self) -> None:
        """Release the lock, and wait until etcd has confirmed it, at most for the client's timeout.

        Raises LostError if the lock was lost before, CancelledError if it had been unlocked or its client disconnected
        before, and UnavailableError if etcd has not confirmed: the hold is over then too, and the release goes on
        behind the call until the lease has ended.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Watcher:
    """Who holds one lock: an iterator of Info, first the present holder, then each change. A free lock is an Info with
    token 0. It never ends by itself, but when its client disconnects.

    It resumes by itself after a break. When it is read slowly, consecutive states may be merged; the last one is never
    lost. Any thread may use it at any time; each state goes to one of those that iterate. As a context manager it ends
    the watch at the end of the block.
    """

    def unwatch(self) -> None:
        """End the watch; whoever iterates over it finds its end. A second call does nothing."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Info: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...
