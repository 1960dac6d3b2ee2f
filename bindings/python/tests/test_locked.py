"""The decorator."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Connect, Run
from support import Etcd

import locker
from locker import aio


def test_the_lock_is_held_in_each_call(client: locker.Client, etcd: Etcd) -> None:
    @locker.locked("a", client=client, value="v", reason="r", timeout=5)
    def work(one: int, *more: int, last: int = 0) -> tuple[object, ...]:
        """Works."""
        info = client.get("a")
        return info.held, info.value, info.reason, one, more, last

    assert work(1, 2, last=3) == (True, "v", "r", 1, (2,), 3)
    assert work(1) == (True, "v", "r", 1, (), 0)
    assert etcd.keys() == []
    assert (work.__name__, work.__doc__, work.__module__) == ("work", "Works.", __name__)
    assert list(inspect.signature(work).parameters) == ["one", "more", "last"]


def test_calls_exclude_each_other(connect: Connect) -> None:
    counter = 0

    def work(decorated: Any) -> None:
        for _ in range(20):
            decorated()

    def count() -> None:
        nonlocal counter
        seen = counter
        time.sleep(0)
        counter = seen + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [locker.locked("a", client=connect())(count) for _ in range(4)]))
    assert counter == 80


def test_a_busy_lock_means_no_call(client: locker.Client) -> None:
    @locker.locked("a", client=client, timeout=0)
    def work() -> None:
        raise AssertionError("the body ran")

    with client.lock("a", value="node-3"), pytest.raises(locker.TimeoutError) as caught:
        work()
    assert caught.value.holder is not None and caught.value.holder.value == "node-3"


def test_a_loss_is_raised_and_told(client: locker.Client, etcd: Etcd) -> None:
    told: list[locker.LostError] = []

    @locker.locked("a", client=client, on_lost=told.append)
    def work(error: Exception | None) -> None:
        etcd.delete(etcd.keys()[0].name)
        while not told:
            pass
        if error:
            raise error

    with pytest.raises(locker.LostError):
        work(None)
    with pytest.raises(ZeroDivisionError):
        work(ZeroDivisionError())


def test_methods_and_names_of_arguments(client: locker.Client) -> None:
    class Host:
        def __init__(self, name: str) -> None:
            self.name = name

        @locker.locked(lambda self, *_, **__: f"reboot/{self.name}", client=client)
        def reboot(self, *, now: bool = False) -> list[bool]:
            return [client.get(f"reboot/{name}").held for name in ("one", "two")]

        @staticmethod
        @locker.locked("all", client=client)
        def both() -> bool:
            return client.get("all").held

        @classmethod
        @locker.locked("all", client=client)
        def name_of_class(cls) -> str:
            return cls.__name__

    assert Host("one").reboot() == [True, False]
    assert Host("two").reboot(now=True) == [False, True]
    assert Host.both() and Host("one").both()
    assert Host.name_of_class() == "Host"


def test_the_client_is_asked_for_at_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    @locker.locked("a")
    def work() -> None: ...

    monkeypatch.setattr("locker._default._client", None)
    monkeypatch.setenv("LOCKER_ENDPOINTS", "http://127.0.0.1:1")
    monkeypatch.setenv("LOCKER_TIMEOUT", "300ms")
    with pytest.raises(locker.UnavailableError):
        work()


def test_coroutine_functions(prefix: str, etcd: Etcd) -> None:
    async def main() -> None:
        async with aio.connect(prefix=prefix, ttl=3) as client:
            counter = 0

            @aio.locked(lambda number: f"a{number % 2}", client=client, timeout=5)
            async def work(number: int) -> int:
                """Works."""
                nonlocal counter
                assert (await client.get(f"a{number % 2}")).held
                counter += 1
                return number

            assert inspect.iscoroutinefunction(work) and work.__doc__ == "Works."
            assert await asyncio.gather(*(work(number) for number in range(20))) == list(range(20))
            assert counter == 20
            with pytest.raises(ZeroDivisionError):

                @aio.locked("b", client=client)
                async def fail() -> None:
                    raise ZeroDivisionError

                await fail()

    asyncio.run(main())


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


async def coroutine(of: object = None) -> None: ...


def function() -> None: ...


class Class:
    pass


class AsyncCall:
    async def __call__(self) -> None: ...


class GeneratorCall:
    def __call__(self) -> Iterator[int]:
        yield 1


def wrapped(function: Any) -> Any:
    """As many a decorator does."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


REFUSED: list[tuple[Any, Any, str]] = [
    (locker, generator, "^generator is a generator: its body runs after the call"),
    (aio, generator, "^generator is a generator"),
    (locker, async_generator, "^async_generator is a generator"),
    (aio, async_generator, "^async_generator is a generator"),
    (locker, coroutine, "^coroutine is a coroutine function: decorate it with locker.aio.locked$"),
    (aio, function, "^function is no coroutine function: decorate it with locker.locked$"),
    (locker, AsyncCall(), "^AsyncCall is a coroutine function: decorate it with locker.aio.locked$"),
    (locker, functools.partial(AsyncCall()), "^partial is a coroutine function"),
    (locker, GeneratorCall(), "^GeneratorCall is a generator"),
    (aio, wrapped(coroutine), "^coroutine is no coroutine function"),
    (locker, staticmethod(function), "^put @staticmethod above @locked, not below it$"),
    (aio, classmethod(coroutine), "^put @classmethod above @locked, not below it$"),
    (locker, Class, "^@locked\\(name\\) decorates functions, not Class$"),
    (locker, 3, "^@locked\\(name\\) decorates functions, not int$"),
]


@pytest.mark.parametrize("module, what, complaint", REFUSED)
def test_what_cannot_be_decorated_is_refused_at_once(module: Any, what: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        module.locked("a")(what)


async def later() -> None:
    raise AssertionError("the body ran")


@contextlib.contextmanager
def context() -> Iterator[None]:
    raise AssertionError("the body ran")
    yield


HIDDEN: list[tuple[Any, str]] = [
    (wrapped(later), "^later returned a coroutine, to be awaited after the call"),
    (lambda: aio.lock("b"), "returned a Opening, to be awaited"),
    (wrapped(generator), "^generator returned a generator: it runs after the call"),
    (wrapped(async_generator), "^async_generator returned a generator"),
    (context, "^context returned a generator"),
    (contextlib.asynccontextmanager(async_generator), "^async_generator returned a generator"),
]


@pytest.mark.parametrize("what, complaint", HIDDEN)
def test_what_hides_that_its_body_runs_later_is_found_out(client: locker.Client, what: Any, complaint: str) -> None:
    """And ended, without a complaint that nobody awaited it."""
    with pytest.raises(TypeError, match=complaint):
        locker.locked("a", client=client)(what)()
    gc.collect()


def test_a_task_that_goes_on_after_the_call_is_cancelled(client: locker.Client) -> None:
    async def main() -> None:
        work = locker.locked("a", client=client)(lambda: asyncio.ensure_future(later()))
        with pytest.raises(TypeError, match="returned a Task, to be awaited"):
            work()
        await asyncio.sleep(0.01)  # It would have begun by now.

    asyncio.run(main())


def test_asyncio_finds_out_too(run: Run) -> None:
    async def main(client: aio.Client) -> None:
        async def hidden() -> Any:
            return generator()

        with pytest.raises(TypeError, match="hidden returned a generator"):
            await aio.locked("a", client=client)(hidden)()
        await aio.locked("a", client=client)(AsyncCall())()

    run(main)


def test_what_can_be_used_after_the_call_may_be_returned(client: locker.Client) -> None:
    """Also what can be used by `with`, or iterated over."""
    with open(os.devnull) as file:
        for result in (None, 3, [1], threading.Lock(), iter([1]), file):
            assert locker.locked("a", client=client)(lambda result=result: result)() is result


def test_names_of_a_wrong_type(client: locker.Client) -> None:
    for module in (locker, aio):
        with pytest.raises(TypeError, match="^name: must be str or a function that returns it, not int$"):
            module.locked(3)
    with pytest.raises(TypeError, match="^name: must be str, not int$"):
        locker.locked(lambda: 3, client=client)(function)()  # type: ignore[arg-type, return-value]
