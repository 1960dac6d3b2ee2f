"""The decorator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar

from locker._locked import done, is_coroutine_function, label, name_of_call, refuse_what_cannot_be_locked
from locker.aio._client import Client
from locker.aio._default import default_client
from locker.errors import LostError

P = ParamSpec("P")
R = TypeVar("R")


class Locked(Protocol):
    """What decorates a coroutine function: it stays of the same type."""

    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, Coroutine[Any, Any, R]]: ...


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
    """Decorate a coroutine function, or such a method: each call acquires the lock `name`, and releases it at the end. See
    locker.locked()."""
    of_call = name_of_call(name)

    def decorate(function: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        refuse_what_cannot_be_locked(function)
        if not is_coroutine_function(function):
            raise TypeError(f"{label(function)} is no coroutine function: decorate it with locker.locked")

        @functools.wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            whose = client or await default_client()
            name = of_call(*args, **kwargs)
            async with whose.lock(
                name, value=value, reason=reason, timeout=timeout, shared=shared, limit=limit, on_lost=on_lost
            ):
                return done(function, await function(*args, **kwargs))

        return call

    return decorate
