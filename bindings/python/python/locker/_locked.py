"""The decorator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

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
    locker.aio.locked().
    """
    of_call = name_of_call(name)

    def decorate(function: Callable[P, R], /) -> Callable[P, R]:
        refuse_what_cannot_be_locked(function)
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{label(function)} is a coroutine function: decorate it with locker.aio.locked")

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            whose = client or default_client()
            name = of_call(*args, **kwargs)
            with whose.lock(
                name, value=value, reason=reason, timeout=timeout, shared=shared, limit=limit, on_lost=on_lost
            ):
                return function(*args, **kwargs)

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
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{label(function)} is a generator: its body runs after the call; lock inside of it instead")
    if inspect.isclass(function) or not callable(function):
        raise TypeError(f"@locked(name) decorates functions, not {label(function)}")


def label(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))
