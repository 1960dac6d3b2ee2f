"""The decorator."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import _AsyncGeneratorContextManager, _GeneratorContextManager
from typing import Any, ParamSpec, Protocol, TypeVar

from locker._callables import bodies
from locker._default import default_client
from locker._locker import Client
from locker.errors import LostError

P = ParamSpec("P")
R = TypeVar("R")


class Locked(Protocol):
    """What decorates a function: it stays of the same type."""

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


def locked(
    name: str | Callable[..., str],
    *,
    client: Client | None = None,
    value: str | None = None,
    reason: str | None = None,
    timeout: float | None = None,
    shared: bool = False,
    limit: int | None = None,
    on_lost: Callable[[LostError], object] | None = None,
) -> Locked:
    """Decorate a function or a method: each call acquires the lock `name`, and releases it at the end.

    name: of the lock, or a function that is called with the arguments of the call and returns it.
    client: whose lock it is. None: default_client(), which is not asked for before the first call.
    value, reason, timeout, shared, limit, on_lost: as in Client.lock().

    A call raises what Client.lock() raises, and then the function was not called. It raises LostError if the lock was
    lost and the function raised nothing. No lock is re-entrant: a function that calls itself waits for itself.

    Generators are refused, since their bodies run after the call; so are coroutine functions: decorate those with
    locker.aio.locked(). Where something hides that it is one, as another decorator does, the call raises TypeError when it
    sees the result, and the body does not run.
    """
    of_call = name_of_call(name)

    def decorate(function: Callable[P, R], /) -> Callable[P, R]:
        refuse_what_cannot_be_locked(function)
        if is_coroutine_function(function):
            raise TypeError(f"{label(function)} is a coroutine function: decorate it with locker.aio.locked")

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            whose = client or default_client()
            name = of_call(*args, **kwargs)
            with whose.lock(
                name, value=value, reason=reason, timeout=timeout, shared=shared, limit=limit, on_lost=on_lost
            ):
                return done(function, function(*args, **kwargs))

        return call

    return decorate


def name_of_call(name: str | Callable[..., str]) -> Callable[..., str]:
    """What tells the name of the lock from the arguments of a call."""
    if isinstance(name, str):
        return lambda *_, **__: name
    if callable(name):
        return name
    raise TypeError(f"name: must be str or a function that returns it, not {type(name).__name__}")


def refuse_what_cannot_be_locked(function: Any) -> None:
    if isinstance(function, (staticmethod, classmethod)):
        raise TypeError(f"put @{type(function).__name__} above @locked, not below it")
    if any(inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body) for body in bodies(function)):
        raise TypeError(f"{label(function)} is a generator: its body runs after the call; lock inside of it instead")
    if inspect.isclass(function) or not callable(function):
        raise TypeError(f"@locked(name) decorates functions, not {label(function)}")


def is_coroutine_function(function: Any) -> bool:
    return any(map(inspect.iscoroutinefunction, bodies(function)))


def done(function: object, result: R) -> R:
    """The result of a call, if with it the work is done: what another decorator wraps shows only here what it is."""
    if isinstance(result, (Generator, AsyncGenerator, _GeneratorContextManager, _AsyncGeneratorContextManager)):
        close(getattr(result, "gen", result))
        raise TypeError(f"{label(function)} returned a generator: it runs after the call; lock inside of it instead")
    if inspect.isawaitable(result):
        close(result)
        kind = type(result).__name__
        raise TypeError(f"{label(function)} returned a {kind}, to be awaited after the call: lock inside of it instead")
    return result


def close(unfinished: object) -> None:
    """Nobody will run it. An asynchronous generator that was not begun needs no end."""
    if isinstance(unfinished, (Generator, Coroutine)):
        unfinished.close()
    elif isinstance(unfinished, asyncio.Future):
        unfinished.cancel()


def label(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))
