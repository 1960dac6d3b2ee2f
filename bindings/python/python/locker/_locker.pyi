"""The part of locker that is written in Rust. Programs use `locker` and `locker.aio`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from locker import (
    Client as Client,
    Guard as Guard,
    Info,
    Watcher as Watcher,
    connect as connect,
)

__version__: str

__all__ = ["Client", "Guard", "Mailbox", "Task", "Watcher", "__version__", "_disconnect_all", "cached", "connect", "take"]

def _disconnect_all() -> None:
    """Disconnect all clients of this process, for the exit of the interpreter."""

def cached(client: Client, name: str, /) -> Info | None:
    """Who holds the lock `name`, if that is in memory."""

def take(watcher: Watcher, /) -> Info | None:
    """The state that has come, unless another reader has taken it."""

@final
class Mailbox:
    """Where one event loop gets the results of what it asked for. The loop watches a file descriptor, so the thread of the
    runtime never waits for the GIL to deliver a result: leases would not be renewed meanwhile.

    Everything that is asked for has an id, chosen by the caller, and ends in exactly one letter with that id.
    """

    def __new__(cls) -> Mailbox: ...
    def fileno(self) -> int: ...
    def deliver(self, receive: Callable[[int, Any, BaseException | None], object]) -> None:
        """Hands the letters that have come to `receive(id, result, error)`."""

    def connect(self, id: int, endpoints: str | Sequence[str] | None, options: Mapping[str, object]) -> Task: ...
    def lock(
        self, id: int, client: Client, name: str, value: str | None, reason: str | None, timeout: float | None
    ) -> Task: ...
    def try_lock(self, id: int, client: Client, name: str, value: str | None, reason: str | None) -> Task: ...
    def get(self, id: int, client: Client, name: str) -> Task: ...
    def watch(self, id: int, client: Client, name: str) -> Task: ...
    def disconnect(self, id: int, client: Client) -> Task: ...
    def unlock(self, id: int, guard: Guard) -> Task: ...
    def lost(self, id: int, guard: Guard) -> Task: ...
    def ready(self, id: int, watcher: Watcher) -> Task: ...
    def unwatch(self, id: int, watcher: Watcher) -> Task: ...

@final
class Task:
    """Something that was asked for."""

    def cancel(self) -> None:
        """Drop it, if it has not ended; its letter comes all the same."""
