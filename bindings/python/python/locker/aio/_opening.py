"""What opens and closes an `async with` block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from locker.errors import Error, LostError
from locker.info import Info

if TYPE_CHECKING:
    from locker.aio._watcher import Watcher

Type = type[BaseException] | None
Trace = TracebackType | None


class _Open(Protocol):
    async def __aenter__(self) -> Any: ...
    async def __aexit__(self, exc_type: Type, exc_value: BaseException | None, traceback: Trace, /) -> None: ...


T = TypeVar("T", bound=_Open)


class Opening(Coroutine[Any, Any, T]):
    """What opens a Client, a Guard or a Watcher: `await` it, or `async with` it. It is a coroutine: nothing happens
    before, and it is of use once."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __repr__(self) -> str:
        asked = str(getattr(self._coroutine, "__qualname__", "something")).partition(".<locals>")[0]
        return f"<locker.aio: what {asked}() returns, to be awaited or used with async with>"

    async def __aenter__(self) -> T:
        self._opened = await self._coroutine
        await self._opened.__aenter__()  # The loop may have stood still since, and the lock be lost.
        return self._opened

    async def __aexit__(self, exc_type: Type, exc_value: BaseException | None, traceback: Trace, /) -> None:
        await self._opened.__aexit__(exc_type, exc_value, traceback)


class Watching(Opening["Watcher"]):
    """An Opening of a Watcher, over which one may also iterate at once."""

    async def __aiter__(self) -> AsyncIterator[Info]:
        async with self as watcher:
            async for info in watcher:
                yield info


async def leave(ending: Coroutine[Any, Any, None], body: BaseException | None) -> None:
    """The end of `async with`: as that of `with` in `locker`, an error of the body goes before one of ours, and a loss before
    an exit."""
    try:
        await ending
    except Error as error:
        if body is None or (isinstance(error, LostError) and isinstance(body, (SystemExit, GeneratorExit))):
            raise
        if hasattr(body, "add_note"):
            body.add_note(f"locker: while leaving the async with block: {type(error).__name__}: {error}")
