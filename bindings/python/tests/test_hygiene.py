"""What an ordinary look does not see: memory, files and threads that stay, and what Python says when it looks closely."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import traceback
from collections.abc import Callable

import pytest
from conftest import Connect
from support import Etcd, until

import locker
from locker import aio


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def measure(turn: Callable[[], object], turns: int) -> tuple[int, int, int]:
    """By how much what Python has allocated, what the process has, and how many blocks there are grow with these turns."""

    def now() -> tuple[int, int, int]:
        gc.collect()
        return tracemalloc.get_traced_memory()[0], resident(), sys.getallocatedblocks()

    for _ in range(turns // 10):  # To come to what it needs in any case.
        turn()
    tracemalloc.start()
    try:
        before = now()
        for _ in range(turns):
            turn()
        after = now()
    finally:
        tracemalloc.stop()
    return after[0] - before[0], after[1] - before[1], after[2] - before[2]


def test_ten_thousand_locks_leave_nothing(client: locker.Client) -> None:
    """With what a program may do to each, errors included."""

    def turn() -> None:
        with client.lock("a", value="v", reason="r", on_lost=print) as guard:
            guard.check()
            guard.info(), guard.held, guard.token, repr(guard)
        try:
            guard.unlock()
        except locker.CancelledError:
            pass

    traced, resident, blocks = measure(turn, 10_000)
    assert traced < 100_000 and blocks < 1000
    assert resident < 5_000_000


def test_a_thousand_of_all_else_leave_nothing(client: locker.Client, prefix: str) -> None:
    def turn() -> None:
        with client.watch("a") as watcher:
            next(watcher)
            client.get("a"), client.get("a", cached=True)
            with client.lock("a"):
                assert client.try_lock("a") is None
                try:
                    client.lock("a", timeout=0)
                except locker.TimeoutError as error:
                    repr(error.holder)

    traced, resident, blocks = measure(turn, 1000)
    assert traced < 100_000 and blocks < 1000
    assert resident < 5_000_000


def test_some_hundreds_in_every_mode_leave_nothing(client: locker.Client) -> None:
    def turn() -> None:
        with client.lock_all(["b", "c"]) as guard, client.lock("d", limit=3), client.lock("e", shared=True):
            guard.names, guard.keys, repr(guard)
            assert client.try_lock_all(["c", "f"]) is None
            for bad in ("gh", ["g", 3], ["g", "g"]):
                try:
                    client.lock_all(bad)  # type: ignore[arg-type]
                except (TypeError, locker.InvalidError) as error:
                    repr(error)

    traced, resident, blocks = measure(turn, 300)
    assert traced < 30_000 and blocks < 300
    assert resident < 5_000_000


def test_tasks_leave_nothing(prefix: str, etcd: Etcd) -> None:
    async def main() -> None:
        async with aio.connect(prefix=prefix, ttl=3) as client:

            async def turn() -> None:
                async with client.lock("a", on_lost=print):
                    try:
                        await asyncio.wait_for(client.lock("a"), 0.001)
                    except asyncio.TimeoutError:
                        pass

            for _ in range(100):
                await turn()
            gc.collect()
            before = sys.getallocatedblocks()
            for _ in range(1000):
                await turn()
            gc.collect()
            assert sys.getallocatedblocks() - before < 1000

    asyncio.run(main())


def test_clients_leave_no_files_and_no_threads(prefix: str, etcd: Etcd) -> None:
    """Once they are gone: one that is merely disconnected keeps its connection."""

    def counts() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    def turn() -> None:
        with locker.connect(prefix=prefix) as client, client.lock("a", on_lost=print):
            pass

    turn()
    before = counts()
    for _ in range(50):
        turn()
    # A connection is closed behind.
    until(lambda: counts()[0] <= before[0] and counts()[1] <= before[1], f"{before} files and threads, not {counts()}")


def test_the_development_mode_has_nothing_to_say(prefix: str, etcd: Etcd) -> None:
    """Of a program that uses everything: no warning, no resource that was forgotten."""
    source = """
    import asyncio, logging, os, sys, threading
    os.environ["LOCKER_PREFIX"] = sys.argv[1]
    import locker
    from locker import aio
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)

    @locker.locked("a")
    def work():
        pass

    @aio.locked("a")
    async def aio_work():
        pass

    async def main():
        async with aio.connect(prefix=sys.argv[1]) as client:
            async with client.lock("a", on_lost=print) as guard, client.watch("a") as watcher:
                await anext(watcher)
                losing = asyncio.create_task(guard.lost())
                try:
                    await asyncio.wait_for(client.lock("a"), 0.05)
                except asyncio.TimeoutError:
                    pass
            await losing
        await asyncio.gather(*(aio_work() for _ in range(10)))

    with locker.connect(prefix=sys.argv[1]) as client:
        with client.lock("a", on_lost=print), client.watch("a") as watcher:
            next(watcher)
            assert client.try_lock("a") is None
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(main(), debug=True)
    kept = locker.lock("kept", on_lost=print)
    """
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(source), prefix]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.returncode) == ("", 0)
    assert "took" not in done.stdout  # asyncio's complaint about a callback that blocks the loop.


def test_who_forgets_to_await_is_told(prefix: str, etcd: Etcd) -> None:
    async def main() -> None:
        async with aio.connect(prefix=prefix, ttl=3) as client:
            with pytest.warns(RuntimeWarning, match="coroutine 'Client.lock.<locals>.opening' was never awaited"):
                client.lock("a")
                gc.collect()

    asyncio.run(main())


def test_tracebacks_are_short(client: locker.Client, etcd: Etcd) -> None:
    def frames(call: Callable[[], object]) -> list[str]:
        try:
            call()
        except locker.Error as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)][2:]
        raise AssertionError

    with client.lock("a"):
        assert frames(lambda: client.lock("a", timeout=0)) == []
        decorated = locker.locked("a", client=client, timeout=0)(lambda: None)
        assert frames(decorated) == []

    async def main() -> None:
        async with aio.connect(prefix=etcd.prefix, ttl=3) as other:
            async with other.lock("a"):
                try:
                    await other.lock("a", timeout=0)
                except locker.TimeoutError as error:
                    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
                    assert names == ["main", "opening", "ask", "ask"]

    asyncio.run(main())


def test_many_threads_at_once(connect: Connect) -> None:
    """Of one client, on a few locks, with everything; the counters are what the locks protect."""
    client, counters = connect(), [0, 0, 0]
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for i in range(30):
                which = (seed + i) % len(counters)
                with client.lock(f"a{which}", timeout=60) as guard:
                    seen = counters[which]
                    guard.check()
                    client.get(f"a{which}")
                    counters[which] = seen + 1
                client.try_lock("b")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and sum(counters) == 16 * 30
