"""One acquisition of one lock, or of several at once."""

from __future__ import annotations

from typing import Literal, NoReturn

import locker
from locker._locker import Mailbox
from locker._post import ask
from locker.aio._opening import Trace, Type, leave
from locker.errors import Error
from locker.info import Info


class Guard:
    """One acquisition of one lock, made by Client.lock(), or of several at once, made by Client.lock_all(). At the end of
    `async with` it unlocks; when it has ended before, the beginning raises what check() raises.

    A guard that is garbage collected unlocks too, without waiting for etcd.
    """

    def __init__(self, guard: locker.Guard) -> None:
        self._guard = guard
        self._unlocked = False

    @property
    def name(self) -> str:
        """The lock's name; of several the first."""
        return self._guard.name

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all its locks, in the order in which they were asked for: more than one if lock_all() made it."""
        return self._guard.names

    @property
    def token(self) -> int:
        """The fencing token while the lock is held, else 0: see locker.Guard.token."""
        return self._guard.token

    @property
    def key(self) -> str:
        """The key in etcd that holds the lock, of several the first; empty while there is none."""
        return self._guard.key

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in etcd that hold its locks, one for each name; empty while there are none."""
        return self._guard.keys

    @property
    def state(self) -> Literal["waiting", "held", "at_risk", "ended"]:
        """Where it stands, by the clock: see locker.Guard.state."""
        return self._guard.state

    @property
    def held(self) -> bool:
        """Whether the lock is held now, as far as this process can know."""
        return self._guard.held

    @property
    def remaining(self) -> float:
        """Seconds for which the lock stays held if etcd stops answering now; 0 when it is not held."""
        return self._guard.remaining

    def info(self) -> Info:
        """What Client.get() would say of this guard, from memory."""
        return self._guard.info()

    def check(self) -> None:
        """Raise LostError if the lock was lost, CancelledError (of locker) if the guard was unlocked or its client
        disconnected. It asks nobody: call it as often as you like."""
        self._guard.check()

    async def lost(self) -> Error:
        """Wait until the lock is no longer held, and return why: a LostError, or a CancelledError (of locker) after
        unlock() or disconnect()."""
        reason: Error = await ask(Mailbox.lost, self._guard)
        return reason

    async def unlock(self) -> None:
        """Release the lock, and wait until etcd has confirmed it: see locker.Guard.unlock(). Cancelling the wait does
        not undo it."""
        self._unlocked = True
        await ask(Mailbox.unlock, self._guard)

    async def __aenter__(self) -> Guard:
        self._guard.__enter__()
        return self

    async def __aexit__(self, exc_type: Type, exc_value: BaseException | None, traceback: Trace, /) -> None:
        if not self._unlocked:
            await leave(self.unlock(), exc_value)

    def __repr__(self) -> str:
        return repr(self._guard).replace("locker.", "locker.aio.", 1)

    def __reduce__(self) -> NoReturn:
        self._guard.__reduce__()
