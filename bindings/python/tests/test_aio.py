"""The same, for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import ctypes
import gc
import os
import pickle
import random
import sys
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Run
from support import DEADLINE, Etcd, Program, until

import locker
from locker import _post, aio
from locker.aio._opening import Opening


def test_a_lock_is_held_and_released(run: Run, etcd: Etcd) -> None:
    async def main(client: aio.Client) -> None:
        async with client.lock("a", value="node-3", reason="upgrade") as guard:
            assert (guard.name, guard.state, guard.held) == ("a", "held", True)
            assert guard.key == etcd.keys()[0].name
            assert 0 < guard.remaining <= 3
            guard.check()
            info = await client.get("a")
            assert (info.token, info.value, info.reason) == (guard.token, "node-3", "upgrade")
            assert guard.info().token == guard.token
            assert await client.try_lock("a") is None
            assert repr(guard) == f"<locker.aio.Guard of 'a', held, token {guard.token}>"
        assert (guard.state, guard.held, guard.token, guard.remaining) == ("ended", False, 0, 0)
        assert etcd.keys() == []
        another = await client.try_lock("a")
        assert another is not None
        await another.unlock()
        with pytest.raises(locker.CancelledError):
            await another.unlock()

    run(main)


def test_no_block_runs_without_the_lock(run: Run, etcd: Etcd, prefix: str) -> None:
    async def refuses(error: type[locker.Error], opened: Any) -> None:
        with pytest.raises(error):
            async with opened:
                raise AssertionError("the body ran")

    async def main(client: aio.Client) -> None:
        guard = await client.lock("a")
        async with guard:
            await refuses(locker.InvalidError, guard)
            assert guard.held
        await refuses(locker.CancelledError, guard)
        lost = await client.lock("a")
        etcd.delete(lost.key)
        await lost.lost()
        await refuses(locker.LostError, lost)

        async def late() -> aio.Guard:  # As lock() is to a loop that stood still while the lock came and went.
            return lost

        await refuses(locker.LostError, Opening(late()))
        other = await aio.connect(prefix=prefix)
        async with other:
            pass
        await refuses(locker.CancelledError, other)

    run(main)


def test_a_wait_that_ends_says_who_holds_it(run: Run, etcd: Etcd) -> None:
    async def main(client: aio.Client) -> None:
        async with client.lock("a", value="node-3"):
            with pytest.raises(locker.TimeoutError) as caught:
                await client.lock("a", timeout=0.1)
            assert caught.value.holder is not None and caught.value.holder.value == "node-3"
            with pytest.raises(locker.TimeoutError):
                async with client.lock("a", timeout=0):
                    raise AssertionError("the body ran")
            assert len(etcd.keys()) == 1

    run(main)


def test_bad_input(run: Run) -> None:
    async def main(client: aio.Client) -> None:
        calls: list[Callable[[Any], Coroutine[Any, Any, Any]]] = [client.lock, client.try_lock, client.get, client.watch]
        for call in calls:
            with pytest.raises(locker.InvalidError, match="name"):
                await call("")
            with pytest.raises(TypeError, match="name: must be str, not bytes"):
                await call(b"a")
        with pytest.raises(locker.InvalidError, match="^timeout: must not be negative"):
            await client.lock("a", timeout=-1)
        with pytest.raises(locker.InvalidError, match="^ttl: not a number"):
            await aio.connect(ttl=float("nan"))
        with pytest.raises(locker.UnavailableError, match="127.0.0.1:1"):
            await aio.connect("http://127.0.0.1:1", timeout=0.5)

    run(main)


def test_an_unlock_that_is_cancelled_unlocks(run: Run) -> None:
    async def unlock(guard: aio.Guard) -> None:
        await guard.unlock()

    async def leave(guard: aio.Guard) -> None:
        async with guard:
            pass

    async def main(client: aio.Client) -> None:
        for end in [unlock, leave] * 20:
            guard = await client.lock("a")
            task = asyncio.create_task(end(guard))
            await asyncio.sleep(0)  # It has begun, and only that.
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert isinstance(await asyncio.wait_for(guard.lost(), DEADLINE), locker.CancelledError)

    run(main)


def test_an_error_that_is_thrown_into_a_wait_ends_it(run: Run, etcd: Etcd) -> None:
    """By who drives the coroutine, as some frameworks do, before there is an answer."""

    async def main(client: aio.Client) -> None:
        async with client.lock("a"):
            for error in (asyncio.CancelledError(), ZeroDivisionError(), GeneratorExit()):
                waiting = client.lock("a").__await__()
                next(waiting)
                await asyncio.to_thread(etcd.wait_for_keys, 1)
                with pytest.raises(type(error)) as caught:
                    waiting.throw(error)
                assert caught.value is error
                while (await client.get("a")).waiters:
                    pass

    run(main)


def test_letters_that_come_together_are_all_delivered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when a signal handler raises in the midst of it."""
    receive = _post._Post._receive
    signals: list[Exception] = []

    def interrupted(self: _post._Post, id: int, result: Any, error: BaseException | None) -> None:
        if signals:
            raise signals.pop()
        receive(self, id, result, error)

    async def main(client: aio.Client) -> None:
        handled: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: handled.append(context["exception"]))
        asking = [asyncio.create_task(client.get("a")) for _ in range(5)]
        await asyncio.sleep(0)
        time.sleep(0.3)  # The loop stands still while the answers come.
        signals.append(ZeroDivisionError())
        assert len(await asyncio.wait_for(asyncio.gather(*asking), DEADLINE)) == 5
        assert [type(error) for error in handled] == [ZeroDivisionError]

    monkeypatch.setattr(_post._Post, "_receive", interrupted)
    run(main)


def test_cancelling_leaves_the_queue(run: Run, etcd: Etcd, prefix: str) -> None:
    async def main(client: aio.Client) -> None:
        async with aio.connect(prefix=prefix) as other, other.lock("a"):
            waiting = [asyncio.create_task(client.lock("a")) for _ in range(50)]
            # All stand in line, and the first of them in etcd's queue.
            await asyncio.to_thread(etcd.wait_for_keys, 2)
            for task in waiting:
                task.cancel()
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(outcome, asyncio.CancelledError)
            await asyncio.to_thread(etcd.wait_for_keys, 1)

    run(main)


def test_a_grant_at_hand_when_its_task_is_cancelled_is_given_back(run: Run, etcd: Etcd, prefix: str) -> None:
    """At once, though the outcome of the task is kept: not when garbage is collected."""

    async def main(client: aio.Client) -> None:
        other = await aio.connect(prefix=prefix)
        for turns in range(8):
            holder = await other.lock("a")
            task = asyncio.create_task(client.lock("a"))
            await asyncio.to_thread(etcd.wait_for_keys, 2)
            await holder.unlock()
            etcd.wait_for_keys(1)  # The loop stands still while the grant comes.
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            if not isinstance(outcome, BaseException):
                await outcome.unlock()
            await asyncio.to_thread(etcd.wait_for_keys, 0)
        await other.disconnect()

    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()


def test_a_thousand_random_timeouts_leave_nothing(run: Run, etcd: Etcd, prefix: str) -> None:
    """Some get the lock, some do not, and some get it in the very instant in which they give up."""
    holding = 0

    async def contend(client: aio.Client, limit: float) -> bool:
        nonlocal holding
        try:
            async with await asyncio.wait_for(client.lock("a"), limit):
                holding += 1
                assert holding == 1
                await asyncio.sleep(0)
                holding -= 1
                return True
        except asyncio.TimeoutError:
            return False

    async def main(client: aio.Client) -> None:
        # On a slow machine none may get it in so short a time; a few therefore have patience.
        limits = [random.uniform(0, 1.5) for _ in range(990)] + [DEADLINE] * 10
        random.shuffle(limits)
        before = etcd.leases()
        async with aio.connect(prefix=prefix, ttl=3) as other:  # Turns go from client to client, and within each.
            done = await asyncio.gather(*(contend(random.choice([client, other]), limit) for limit in limits))
            assert 10 <= sum(done) < 1000
            await asyncio.to_thread(etcd.wait_for_keys, 0)
            assert len(etcd.leases() - before) == 2  # The clients'.
        async with client.lock("a", timeout=DEADLINE):
            pass
        await client.disconnect()
        assert etcd.leases() <= before

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no TaskGroup and no timeout() yet")
def test_task_groups_and_timeouts(run: Run, etcd: Etcd, prefix: str) -> None:
    async def work(client: aio.Client, name: str, fail: bool = False) -> None:
        async with client.lock(name):
            if fail:
                raise ZeroDivisionError
            await asyncio.sleep(60)

    async def main(client: aio.Client) -> None:
        with pytest.raises(ExceptionGroup) as caught:  # type: ignore[name-defined, unused-ignore] # noqa: F821
            async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined, unused-ignore]
                for name in "aabbc":
                    group.create_task(work(client, name))
                group.create_task(work(client, "d", fail=True))
        assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
        await asyncio.to_thread(etcd.wait_for_keys, 0)
        async with aio.connect(prefix=prefix, ttl=3) as other, other.lock("a"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):  # type: ignore[attr-defined, unused-ignore]
                    async with client.lock("a"):
                        raise AssertionError("the body ran")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1), client.lock("b"):  # type: ignore[attr-defined, unused-ignore]
                    await asyncio.sleep(60)
            await asyncio.to_thread(etcd.wait_for_keys, 1)

    run(main)


def test_an_exit_stack_holds_many(run: Run, etcd: Etcd) -> None:
    async def main(client: aio.Client) -> None:
        async with contextlib.AsyncExitStack() as stack:
            guards = [await stack.enter_async_context(client.lock(name)) for name in "abc"]
            assert all(guard.held for guard in guards)
        assert etcd.keys() == [] and not any(guard.held for guard in guards)

    run(main)


def test_waiting_costs_no_thread_and_does_not_block_the_loop(run: Run, other: locker.Client) -> None:
    async def main(client: aio.Client) -> None:
        with other.lock("a"):
            threads = len(os.listdir("/proc/self/task"))
            waiting = [asyncio.create_task(client.lock("a")) for _ in range(100)]
            for _ in range(100):
                await asyncio.sleep(0.001)
            assert len(os.listdir("/proc/self/task")) == threads
            for task in waiting:
                task.cancel()

    run(main)


def test_a_loss_is_told(run: Run, etcd: Etcd) -> None:
    async def main(client: aio.Client) -> None:
        with pytest.raises(locker.LostError):
            async with client.lock("a") as guard:
                etcd.delete(guard.key)
                assert isinstance(await guard.lost(), locker.LostError)
                with pytest.raises(locker.LostError):
                    guard.check()
        with pytest.raises(ZeroDivisionError):
            async with client.lock("a") as guard:
                etcd.delete(guard.key)
                await guard.lost()
                1 / 0
        guard = await client.lock("a")
        losing = asyncio.create_task(guard.lost())
        await guard.unlock()
        assert isinstance(await losing, locker.CancelledError)

    run(main)


def test_what_is_watched_is_known(run: Run) -> None:
    async def main(client: aio.Client) -> None:
        read = await client.get("a", cached=True)
        assert not read.held and read.revision > 0
        async with client.watch("a") as watcher, client.lock("a") as guard:
            while not (told := await anext(watcher)).held:
                pass
            asking = client.get("a", cached=True)
            with pytest.raises(StopIteration) as answer:  # At once: it waits for nothing.
                asking.send(None)
            known = answer.value.value
            assert known.token == guard.token
            assert known.revision >= told.revision
            assert known is await client.get("a", cached=True)
            assert known == await client.get("a")
        with pytest.raises(locker.InvalidError, match="name"):
            await client.get("", cached=True)
        with pytest.raises(TypeError, match="^cached: must be bool, not int$"):
            await client.get("a", cached=1)  # type: ignore[arg-type]

    run(main)


def test_a_watcher_tells_the_present_holder_and_each_change(run: Run) -> None:
    async def main(client: aio.Client) -> None:
        async with client.watch("a") as watcher:
            assert not (await anext(watcher)).held
            async with client.lock("a") as guard:
                assert (await anext(watcher)).token == guard.token
            assert not (await anext(watcher)).held
            waiting = asyncio.create_task(anext(watcher))
            await asyncio.sleep(0)
            await watcher.unwatch()
            with pytest.raises(StopAsyncIteration):
                await waiting
            assert [info async for info in watcher] == []
        async for info in client.watch("a"):
            assert not info.held
            break

    run(main)


def test_a_cancelled_reader_loses_nothing(run: Run) -> None:
    async def main(client: aio.Client) -> None:
        watcher = await client.watch("a")
        assert not (await anext(watcher)).held
        for turn in range(200):
            locking = asyncio.create_task(client.lock("a"))
            info = None
            while info is None:
                reading = asyncio.create_task(anext(watcher))
                await asyncio.sleep(0.00002 * turn)
                reading.cancel()
                try:
                    info = await reading
                except asyncio.CancelledError:
                    continue
            guard = await locking
            assert info.token == guard.token
            await guard.unlock()
            assert not (await anext(watcher)).held

    run(main)


def test_a_reader_that_is_cancelled_with_its_result_at_hand_loses_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = _post._Post._receive
    reading: list[asyncio.Task[locker.Info]] = []

    def receive_and_cancel(self: _post._Post, id: int, result: Any, error: BaseException | None) -> None:
        receive(self, id, result, error)
        for task in reading:
            task.cancel()

    async def main(client: aio.Client) -> None:
        watcher = await client.watch("a")
        reading.append(asyncio.create_task(anext(watcher)))
        with pytest.raises(asyncio.CancelledError):
            await reading[0]
        reading.clear()
        assert not (await anext(watcher)).held

    monkeypatch.setattr(_post._Post, "_receive", receive_and_cancel)
    run(main)


def test_a_state_that_comes_as_its_reader_is_cancelled_goes_to_the_next(run: Run, other: locker.Client) -> None:
    """At once, and before newer ones."""

    async def main(client: aio.Client) -> None:
        watcher = await client.watch("a")
        assert not (await anext(watcher)).held
        reading = asyncio.create_task(anext(watcher))
        await asyncio.sleep(0.1)
        reading.cancel()
        with other.lock("a") as guard:
            time.sleep(0.2)  # The loop stands still while the state comes.
            others = asyncio.create_task(anext(watcher))
            await asyncio.gather(reading, return_exceptions=True)
            assert (await asyncio.wait_for(others, DEADLINE)).token == guard.token
        assert not (await asyncio.wait_for(anext(watcher), DEADLINE)).held

    run(main)


def test_a_state_that_no_reader_has_taken_ends_with_the_watch(run: Run, other: locker.Client) -> None:
    async def main(client: aio.Client) -> None:
        watcher = await client.watch("a")
        assert not (await anext(watcher)).held
        reading = asyncio.create_task(anext(watcher))
        await asyncio.sleep(0.1)
        with other.lock("a"):
            time.sleep(0.2)
            reading.cancel()
            ending = asyncio.create_task(watcher.unwatch())
            await asyncio.gather(reading, ending, return_exceptions=True)
            assert [info async for info in watcher] == []

    run(main)


def test_leases_are_kept_while_nobody_gives_the_gil_away(run: Run) -> None:
    """A call into C that keeps the GIL for longer than the ttl, while a result is under way."""
    asleep = ctypes.PyDLL(None).usleep

    async def main(client: aio.Client) -> None:
        async with client.lock("a") as guard:
            reading = asyncio.create_task(client.get("a"))
            await asyncio.sleep(0)
            asleep(4_000_000)
            guard.check()
            assert (await reading).token == guard.token

    run(main)


def test_two_loops_use_one_client(prefix: str, etcd: Etcd) -> None:
    async def connect() -> aio.Client:
        return await aio.connect(prefix=prefix)

    client = asyncio.run(connect())
    counter, tokens = 0, []

    async def work() -> None:
        nonlocal counter
        for _ in range(20):
            async with client.lock("a") as guard:
                seen = counter
                await asyncio.sleep(0)
                counter = seen + 1
                tokens.append(guard.token)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(asyncio.run, [work(), work()]))
    assert counter == 40 and tokens == sorted(set(tokens))
    asyncio.run(client.disconnect())


def test_loops_that_are_gone_are_forgotten(prefix: str) -> None:
    async def leave_something_behind() -> weakref.ref[asyncio.AbstractEventLoop]:
        client = await aio.connect(prefix=prefix)
        guard = await client.lock("a")
        asyncio.create_task(client.lock("a")), asyncio.create_task(guard.lost())
        await asyncio.sleep(0.01)
        return weakref.ref(asyncio.get_running_loop())

    def files() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = files()
    for _ in range(5):
        loop = asyncio.run(leave_something_behind())
        gc.collect()
    until(lambda: gc.collect() is not None and loop() is None, "the loop is gone")
    # Five loops had two each, beside the connections of clients, which end behind.
    until(lambda: files() <= before + 2, "files are closed")


def test_a_task_that_is_dropped_leaves_the_queue(client: locker.Client, prefix: str, etcd: Etcd) -> None:
    """Its loop was closed without cancelling it, as asyncio.run would have done."""

    async def connect() -> aio.Client:
        return await aio.connect(prefix=prefix)

    loop = asyncio.new_event_loop()
    waiter = loop.run_until_complete(connect())
    with client.lock("a"):
        task = loop.create_task(waiter.lock("a"))
        loop.run_until_complete(asyncio.to_thread(etcd.wait_for_keys, 2))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        del task
        gc.collect()
        etcd.wait_for_keys(1)
    asyncio.run(waiter.disconnect())


def test_a_grant_that_comes_when_its_loop_is_closed_is_given_back(
    client: locker.Client, prefix: str, etcd: Etcd
) -> None:
    """Its letter lies where nobody opens it any more; no other loop has to come for that."""

    async def connect() -> aio.Client:
        return await aio.connect(prefix=prefix)

    loop = asyncio.new_event_loop()
    waiter = loop.run_until_complete(connect())
    guard = client.lock("a")
    task = loop.create_task(waiter.lock("a"))
    loop.run_until_complete(asyncio.to_thread(etcd.wait_for_keys, 2))
    loop.run_until_complete(loop.shutdown_default_executor())
    guard.unlock()
    until(lambda: client.get("a").held, "the other has got it")
    loop.close()
    del task, loop
    gc.collect()
    client.lock("a", timeout=DEADLINE).unlock()
    asyncio.run(waiter.disconnect())


def test_what_is_connected_is_not_copied(run: Run) -> None:
    async def main(client: aio.Client) -> None:
        async with client.lock("a") as guard, client.watch("a") as watcher:
            for thing in (client, guard, watcher):
                for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
                    with pytest.raises(TypeError, match="cannot pickle or copy"):
                        duplicate(thing)

    run(main)


ENDS = {
    "": "",
    "sys.exit()": "",
    "asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel);"
    "os.kill(os.getpid(), signal.SIGTERM); await asyncio.sleep(60)": "asyncio.exceptions.CancelledError",
    "1 / 0": "ZeroDivisionError: division by zero",
    "os.kill(os.getpid(), signal.SIGINT); await asyncio.sleep(60)": "KeyboardInterrupt",
}


@pytest.mark.parametrize("end, last_words", list(ENDS.items()))
def test_a_program_ends(client: locker.Client, etcd: Etcd, end: str, last_words: str) -> None:
    """Tasks wait in etcd's queue, for "b", and behind a guard of their own client, for "a"."""
    source = f"""
    import asyncio, os, signal, sys
    from locker import aio

    async def main():
        global client, guard
        client = await aio.connect(prefix=sys.argv[1], ttl=30)
        guard = await client.lock("a")
        for name in "aabb":
            asyncio.create_task(client.lock(name))
        print("go", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        {end}

    asyncio.run(main())
    """
    with client.lock("b") as guard, Program(source, etcd.prefix) as program:
        assert program.line() == "go"
        [lease] = {key.lease for key in etcd.wait_for_keys(3) if key.name != guard.key}
        program.tell()
        ended = program.end()
        assert [key.name for key in etcd.keys()] == [guard.key]
    assert ended.seconds < 2
    assert not etcd.lease_exists(lease)
    assert (ended.err.splitlines() or [""])[-1] == last_words


def test_what_things_look_like(run: Run) -> None:
    async def main(client: aio.Client) -> None:
        assert repr(client).startswith("<locker.aio.Client of http")
        async with client.watch("a") as watcher:
            assert repr(watcher) == "<locker.aio.Watcher of 'a'>"
        assert repr(watcher) == "<locker.aio.Watcher of 'a', ended>"
        opening = client.lock("a")
        assert "Client.lock" in repr(opening)
        opening.close()

    run(main)


def test_helps_are_the_same_where_they_can_be() -> None:
    for name in ["name", "key", "held", "remaining", "info"]:
        assert getattr(aio.Guard, name).__doc__ == getattr(locker.Guard, name).__doc__


