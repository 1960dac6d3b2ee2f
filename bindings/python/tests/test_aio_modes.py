"""The same, for asyncio."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import pytest
from conftest import Run
from support import DEADLINE, Etcd, etcdctl_lock

import locker
from locker import aio


async def wait_for_waiters(client: aio.Client, name: str, count: int) -> None:
    """There is no event for the length of a queue, so it is looked at."""
    while (await client.get(name)).waiters != count:
        await asyncio.sleep(0.005)


def test_readers_hold_it_together_and_nobody_passes_a_writer(run: Run, prefix: str) -> None:
    async def main(client: aio.Client) -> None:
        async with aio.connect(prefix=prefix, ttl=3) as other:
            async with client.lock("a", shared=True) as first, other.lock("a", shared=True):
                info = await client.get("a")
                assert (info.mode, info.token, info.holders, info.limit) == ("shared", first.token, 2, 0)
                writing = asyncio.create_task(client.lock("a"))
                await wait_for_waiters(client, "a", 1)
                reading = asyncio.create_task(other.lock("a", shared=True))
                await wait_for_waiters(client, "a", 2)
                assert await other.try_lock("a", shared=True) is None
                assert not writing.done()
            async with await asyncio.wait_for(writing, DEADLINE):
                info = await client.get("a")
                assert (info.mode, info.holders, info.waiters) == ("exclusive", 1, 1) and not reading.done()
            async with await asyncio.wait_for(reading, DEADLINE) as reader:
                assert reader.info().mode == "shared"

    run(main)


def test_a_semaphore_counts_tasks(run: Run, etcd: Etcd) -> None:
    inside: set[int] = set()

    async def main(client: aio.Client) -> None:
        three = asyncio.Event()

        @aio.locked("a", limit=3, client=client)
        async def work(number: int) -> None:
            inside.add(number)
            assert len(inside) <= 3, inside
            if len(inside) == 3:
                three.set()
            await asyncio.wait_for(three.wait(), DEADLINE)
            await asyncio.sleep(0)
            inside.remove(number)

        await asyncio.gather(*(work(number) for number in range(60)))
        async with client.lock("a", limit=3):
            with pytest.raises(locker.InvalidError, match='^limit is 5, but those who are in the queue of "a" say 3$'):
                await client.lock("a", limit=5)
            with pytest.raises(locker.InvalidError, match="say 3$"):
                await client.try_lock("a", shared=True)

    run(main)
    assert etcd.keys() == []


def test_etcdctl_counts_as_one_who_wants_it_alone(run: Run, prefix: str) -> None:
    async def main(client: aio.Client) -> None:
        async with AsyncExitStack() as permits:
            for _ in range(2):
                await permits.enter_async_context(client.lock("a", limit=3))
            with etcdctl_lock(f"{prefix}a") as ctl:
                await wait_for_waiters(client, "a", 1)
                behind = asyncio.create_task(client.lock("a", limit=3))
                await wait_for_waiters(client, "a", 2)
                assert not behind.done()
                await permits.aclose()
                assert ctl.stdout is not None
                line = await asyncio.to_thread(ctl.stdout.readline)
                assert line.startswith(f"{prefix}a/") and (await client.get("a")).mode == "foreign"
            await (await asyncio.wait_for(behind, DEADLINE)).unlock()

    run(main)


def test_all_are_held_with_one_token_and_let_go_together(run: Run, etcd: Etcd) -> None:
    async def main(client: aio.Client) -> None:
        async with client.lock_all(["a", "b"], value="node-3") as guard:
            assert (guard.name, guard.names) == ("a", ("a", "b"))
            assert list(guard.keys) == [key.name for key in etcd.keys()] and guard.key == guard.keys[0]
            for name in guard.names:
                info = await client.get(name)
                assert (info.token, info.value) == (guard.token, "node-3")
            assert await client.try_lock_all(["b", "c"]) is None
            assert repr(guard) == f"<locker.aio.Guard of 'a', 'b', held, token {guard.token}>"
            with pytest.raises(locker.TimeoutError) as caught:
                await client.lock_all(["c", "b"], timeout=0.1)
            assert caught.value.holder is not None and caught.value.holder.name == "b"
            assert len(etcd.keys()) == 2
        assert etcd.keys() == []
        again = await client.try_lock_all(name for name in "ab")
        assert again is not None
        await again.unlock()

    run(main)


def test_cancelling_leaves_all_queues(run: Run, etcd: Etcd, prefix: str) -> None:
    async def main(client: aio.Client) -> None:
        async with aio.connect(prefix=prefix, ttl=3) as other, other.lock("c") as held, other.lock("s", limit=1):
            waiting = [asyncio.create_task(client.lock_all([str(n), "c", f"{n}/more"])) for n in range(10)]
            waiting += [asyncio.create_task(client.lock("s", limit=1)) for _ in range(10)]
            await asyncio.to_thread(etcd.wait_for_keys, 2 + 30 + 10)
            for task in waiting:
                task.cancel()
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(outcome, asyncio.CancelledError)
            await asyncio.to_thread(etcd.wait_for_keys, 2)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.lock_all(["a", "c"]), 0.1)
            assert held.held
            await asyncio.to_thread(etcd.wait_for_keys, 2)

    run(main)


def test_with_one_lock_all_are_lost(run: Run, etcd: Etcd) -> None:
    async def main(client: aio.Client) -> None:
        told = asyncio.get_running_loop().create_future()
        with pytest.raises(locker.LostError):
            async with client.lock_all(["a", "b"], on_lost=told.set_result) as guard:
                etcd.delete(guard.keys[1])
                assert isinstance(await guard.lost(), locker.LostError)
                assert guard.keys == () and not guard.held
                assert (await asyncio.wait_for(told, DEADLINE)).loss == "key_deleted"

    run(main)


NAMES = [f"name-{n}" for n in range(10)]


def test_however_the_names_overlap_there_is_no_deadlock(run: Run, etcd: Etcd, prefix: str) -> None:
    """Random sets over ten names, by twenty clients. Some lose patience, in any moment."""
    holders: dict[str, int] = {}
    tokens: dict[str, int] = dict.fromkeys(NAMES, 0)
    got = impatient = 0

    async def hold(guard: aio.Guard) -> None:
        for name in guard.names:
            assert name not in holders and tokens[name] < guard.token, f"{name}: {guard.token} beside {holders}"
            holders[name] = tokens[name] = guard.token
        await asyncio.sleep(0)
        for name in guard.names:
            del holders[name]

    async def work(number: int, client: aio.Client) -> None:
        nonlocal got, impatient
        rng = random.Random(number)
        for _ in range(10):
            names = rng.sample(NAMES, rng.randint(1, 4))
            opening = client.lock(names[0]) if len(names) == 1 else client.lock_all(names)
            limit = DEADLINE if rng.random() < 0.8 else rng.uniform(0, 0.05)
            try:
                guard = await asyncio.wait_for(opening, limit)
            except asyncio.TimeoutError:
                assert limit < DEADLINE, "a deadlock"
                impatient += 1
                continue
            async with guard:
                await hold(guard)
            got += 1

    async def main(_: aio.Client) -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(aio.connect(prefix=prefix, ttl=10)) for _ in range(20)]
            await asyncio.gather(*(work(number, client) for number, client in enumerate(clients)))
            assert got + impatient == 200 and impatient > 0
            await asyncio.to_thread(etcd.wait_for_keys, 0)

    run(main)
