"""The part of locker that is written in Rust. Programs use `locker` and `locker.aio`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

from locker import (
    Client as Client,
    Guard as Guard,
    Info,
    Watcher as Watcher,
    connect as connect,
)
from locker._losses import Listener
from locker.errors import LostError

__version__: str

__all__ = [
    "Client",
    "Guard",
    "Mailbox",
    "Task",
    "Watcher",
    "__version__",
    "_disconnect_all",
    "cached",
    "connect",
    "is_open",
    "last_lines",
    "next_lines",
    "next_losses",
    "take",
    "unraisable",
]

def _disconnect_all() -> None:
    """Disconnect all clients of this process, for the exit of the interpreter."""

def cached(client: Client, name: str, wanted: bool, /) -> Info | None:
    """Who holds the lock `name`, if that is wanted from memory, and is there."""

def is_open(client: Client, /) -> bool:
    """Whether a client can still be used: neither disconnected, nor ended since etcd's history went back, nor inherited."""

_Line = tuple[int, str, str, int, float]

def next_lines() -> tuple[list[_Line], int] | None:
    """Wait for lines of the log, and how many were lost since; None in a child of fork."""

def last_lines() -> tuple[list[_Line], int]:
    """The lines that have come, and how many were lost since, for the exit of the interpreter."""

def next_losses() -> list[tuple[Listener, LostError]] | None:
    """Waits for a loss: the function that is to be told, if it still is, with the error. None in a child of fork."""

def unraisable(error: BaseException, raised_by: object, /) -> None:
    """Tell `sys.unraisablehook` of an error that was raised where nobody could catch it."""

def take(watcher: Watcher, /) -> Info | None:
    """The state that has come, unless another reader has taken it."""

@final
class Mailbox:
    """Where one event loop gets the results of what it asked for. The loop watches a file descriptor, so the thread of the
    runtime never waits for the GIL to deliver a result: leases would not be renewed meanwhile.

    Everything that is asked for has an id, chosen by the caller, and ends in exactly one letter with that id. A letter
    without one has a function to be told of a loss, and the error that says so.
    """

    def __new__(cls) -> Mailbox: ...
    def fileno(self) -> int: ...
    def deliver(self, receive: Callable[[int | None, Any, BaseException | None], object]) -> None:
        """Hands the letters that have come to `receive(id, result, error)`: all of them, whatever that raises. A signal
        handler may raise in the midst of it, so an answer is then handed over once more."""

    def connect(self, id: int, endpoints: str | Sequence[str] | None, options: Mapping[str, object]) -> Task: ...
    def lock(
        self,
        id: int,
        client: Client,
        name: str,
        wish: Mapping[str, object],
        on_lost: Callable[[LostError], object] | None,
    ) -> Task: ...
    def lock_all(
        self,
        id: int,
        client: Client,
        names: Iterable[str],
        wish: Mapping[str, object],
        on_lost: Callable[[LostError], object] | None,
    ) -> Task: ...
    def try_lock(
        self,
        id: int,
        client: Client,
        name: str,
        wish: Mapping[str, object],
        on_lost: Callable[[LostError], object] | None,
    ) -> Task: ...
    def try_lock_all(
        self,
        id: int,
        client: Client,
        names: Iterable[str],
        wish: Mapping[str, object],
        on_lost: Callable[[LostError], object] | None,
    ) -> Task: ...
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
