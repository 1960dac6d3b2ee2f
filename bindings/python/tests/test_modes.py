"""Locks that are held together, with a limit and without, and several locks at once."""

from __future__ import annotations

import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from conftest import Connect
from interrupts import Interrupted, interrupt_after
from support import DEADLINE, Etcd, Program, etcdctl_lock, until

import locker


def wait_for_waiters(client: locker.Client, name: str, count: int) -> None:
    until(lambda: client.get(name).waiters == count, f"{count} wait for {name}")


def test_readers_hold_it_together_and_nobody_passes_a_writer(
    client: locker.Client, other: locker.Client, etcd: Etcd
) -> None:
    with ThreadPoolExecutor(2) as pool:
        with client.lock("a", shared=True, value="first") as first, other.lock("a", shared=True) as second:
            info = other.get("a")
            assert (info.mode, info.token, info.value) == ("shared", first.token, "first")
            assert (info.holders, info.limit, info.waiters) == (2, 0, 0)
            writing = pool.submit(client.lock, "a", timeout=DEADLINE)
            wait_for_waiters(client, "a", 1)
            reading = pool.submit(other.lock, "a", shared=True, timeout=DEADLINE)
            wait_for_waiters(client, "a", 2)
            assert other.try_lock("a", shared=True) is None  # It would pass the writer.
            first.unlock()
            assert client.get("a").token == second.token and not writing.done()
        with writing.result() as writer:
            info = client.get("a")
            assert (info.mode, info.holders, info.waiters) == ("exclusive", 1, 1)
            assert writer.token > second.token and not reading.done()
        with reading.result() as reader:
            assert reader.info().mode == "shared" and reader.token > 0


def test_no_more_hold_it_than_its_limit(client: locker.Client, other: locker.Client, etcd: Etcd) -> None:
    with client.watch("a") as watcher, ThreadPoolExecutor(1) as pool:
        assert next(watcher).holders == 0
        with client.lock("a", limit=2) as first, other.lock("a", limit=2, reason="why not"):
            assert [(info.token, info.holders, info.limit) for info in (next(watcher), next(watcher))] == [
                (first.token, holders, 2) for holders in (1, 2)
            ]
            keys = etcd.keys()
            assert other.try_lock("a", limit=2) is None
            with pytest.raises(locker.TimeoutError, match="and 1 more") as caught:
                other.lock("a", limit=2, timeout=0.1)
            assert "mode='shared'" in repr(caught.value.holder)
            assert "holders=2, limit=2, waiters=0" in repr(client.get("a"))
            assert etcd.keys() == keys
            waiting = pool.submit(client.lock, "a", limit=2, timeout=DEADLINE)
            wait_for_waiters(client, "a", 1)
            first.unlock()
            with waiting.result() as third:
                assert third.held and client.get("a").holders == 2
        with client.lock("a") as alone:
            assert alone.info().mode == "exclusive"
            assert client.try_lock("a", limit=2) is None


def test_all_say_the_same_limit(client: locker.Client, other: locker.Client, etcd: Etcd) -> None:
    with client.lock("a", limit=3):
        keys = etcd.keys()
        for call in (other.lock, other.try_lock):
            with pytest.raises(locker.InvalidError, match='^limit is 5, but those who are in the queue of "a" say 3$'):
                call("a", limit=5)
            with pytest.raises(locker.InvalidError, match=r"^limit is none \(shared\), but .* say 3$"):
                call("a", shared=True)
        assert etcd.keys() == keys
    with client.lock("a", shared=True), pytest.raises(locker.InvalidError, match=r"say none \(shared\)$"):
        other.lock("a", limit=3)
    other.lock("a", limit=5).unlock()


def test_a_semaphore_counts_threads(connect: Connect, etcd: Etcd) -> None:
    """Of two clients, and of many threads of each: three at the same time, and never four."""
    inside: list[int] = []
    three = threading.Barrier(3)

    def work(number: int) -> None:
        inside.append(number)
        assert len(inside) <= 3, inside
        three.wait(DEADLINE)
        inside.remove(number)

    with ThreadPoolExecutor(9) as pool:
        decorated = [locker.locked("a", limit=3, client=client)(work) for client in (connect(), connect())]
        for done in [pool.submit(decorated[number % 2], number) for number in range(81)]:
            done.result()
    assert inside == [] and etcd.keys() == []


def test_a_decorated_reader(client: locker.Client) -> None:
    @locker.locked("a", shared=True, client=client)
    def read(depth: int) -> int:
        return client.get("a").holders if depth == 0 else read(depth - 1)

    assert read(2) == 3


def test_etcdctl_counts_as_one_who_wants_it_alone(client: locker.Client, prefix: str, etcd: Etcd) -> None:
    with ThreadPoolExecutor(1) as pool:
        with client.lock("a", limit=3) as first, client.lock("a", limit=3) as second:
            with etcdctl_lock(f"{prefix}a") as ctl:
                wait_for_waiters(client, "a", 1)
                assert client.try_lock("a", limit=3) is None  # There is room for one, but not before etcdctl.
                behind = pool.submit(client.lock, "a", limit=3, timeout=DEADLINE)
                wait_for_waiters(client, "a", 2)
                first.unlock()
                assert client.get("a").mode == "shared"
                second.unlock()
                assert ctl.stdout is not None and ctl.stdout.readline().startswith(f"{prefix}a/")
                info = client.get("a")
                assert (info.mode, info.holders, info.waiters) == ("foreign", 1, 1) and not behind.done()
            behind.result().unlock()


def test_all_are_held_with_one_token_and_let_go_together(
    client: locker.Client, other: locker.Client, etcd: Etcd
) -> None:
    with client.lock_all(["a", "b/c", "d"], value="node-3", reason="transfer") as guard:
        assert (guard.name, guard.names, guard.held) == ("a", ("a", "b/c", "d"), True)
        for name in guard.names:
            info = other.get(name)
            assert (info.token, info.mode, info.holders) == (guard.token, "exclusive", 1)
            assert (info.value, info.reason, info.name) == ("node-3", "transfer", name)
            assert other.try_lock(name) is None and client.try_lock_all(["other", name]) is None
        assert sorted(guard.keys) == sorted(key.name for key in etcd.keys())
        assert guard.key == guard.keys[0]
        assert repr(guard) == f"<locker.Guard of 'a', 'b/c', 'd', held, token {guard.token}>"
        guard.check()
    assert (guard.token, guard.keys, guard.names, guard.held) == (0, (), ("a", "b/c", "d"), False)
    assert etcd.keys() == []
    one = client.lock_all(["a"])
    assert (one.names, one.keys) == (("a",), (one.key,))
    one.unlock()


def test_who_does_not_get_all_leaves_nothing_in_any_queue(
    client: locker.Client, other: locker.Client, etcd: Etcd
) -> None:
    with client.lock("b", reason="why not") as guard:
        assert other.try_lock_all(["a", "b"]) is None
        for timeout in (0, 0.1):
            with pytest.raises(locker.TimeoutError, match='^"b" is held by .*"why not"$') as caught:
                other.lock_all(["a", "b", "c"], timeout=timeout)
            assert caught.value.holder is not None
            assert (caught.value.holder.name, caught.value.holder.token) == ("b", guard.token)
            assert [key.name for key in etcd.keys()] == [guard.key]
    both = other.try_lock_all(["a", "b"])
    assert both is not None and both.held
    both.unlock()


def test_it_stands_in_all_queues_until_it_is_the_first_in_all(
    client: locker.Client, other: locker.Client, etcd: Etcd
) -> None:
    with ThreadPoolExecutor(2) as pool:
        with client.lock("b") as guard:
            waiting = pool.submit(other.lock_all, ["a", "b"], timeout=DEADLINE)
            etcd.wait_for_keys(3)
            behind = pool.submit(client.lock, "a", timeout=DEADLINE)
            etcd.wait_for_keys(4)
            assert not waiting.done()
            guard.unlock()
        with waiting.result() as both:
            assert client.get("a").token == both.token and not behind.done()
        behind.result().unlock()


WAITS = {'lock_all(["a", "b", "c"])': 3, 'lock("b", shared=True)': 1, 'lock("b", limit=3)': 1}


@pytest.mark.parametrize("call, keys", WAITS.items())
def test_ctrl_c_leaves_all_queues(client: locker.Client, etcd: Etcd, prefix: str, call: str, keys: int) -> None:
    source = f"""
    import locker, sys
    client = locker.connect(prefix=sys.argv[1], ttl=3)
    try:
        client.{call}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    sys.stdin.readline()
    """
    with client.lock("b") as guard, Program(source, prefix) as waiter:
        etcd.wait_for_keys(1 + keys)
        waiter.process.send_signal(signal.SIGINT)
        assert waiter.line() == "interrupted"
        assert [key.name for key in etcd.wait_for_keys(1)] == [guard.key]  # It lives on, and its lease with it.
        waiter.tell()
        assert waiter.end().code == 0


@pytest.mark.parametrize("busy", [False, True])
def test_an_interruption_at_any_moment_leaves_nothing(
    client: locker.Client, other: locker.Client, etcd: Etcd, busy: bool
) -> None:
    held = other.lock("b", limit=1) if busy else None
    for _ in range(30):
        with suppress(Interrupted), interrupt_after(random.uniform(0.0001, 0.01)):
            with client.lock_all(["a", "b", "c"]), client.lock("d", limit=3):
                pass
    etcd.wait_for_keys(1 if held else 0)
    if held:
        held.unlock()
    client.lock_all(["a", "b", "c"], timeout=DEADLINE).unlock()


def test_with_one_lock_all_are_lost(client: locker.Client, other: locker.Client, etcd: Etcd) -> None:
    told: list[locker.LostError] = []
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(locker.LostError) as caught, client.lock_all(["a", "b", "c"], on_lost=told.append) as guard:
            waiting = pool.submit(other.lock_all, ["c", "a"], timeout=DEADLINE)
            etcd.wait_for_keys(5)
            etcd.delete(guard.keys[1])
            assert isinstance(guard.lost(), locker.LostError)
            assert (guard.held, guard.token, guard.keys) == (False, 0, ())
            until(lambda: told, "the loss is told")
        assert caught.value.loss == told[0].loss == "key_deleted" and len(told) == 1
        with waiting.result() as heir:
            assert {key.name for key in etcd.wait_for_keys(2)} == set(heir.keys)


def test_a_permit_that_is_lost_is_free(client: locker.Client, other: locker.Client, etcd: Etcd) -> None:
    with ThreadPoolExecutor(1) as pool, client.lock("a", limit=2) as kept:
        with pytest.raises(locker.LostError), other.lock("a", limit=2) as guard:
            waiting = pool.submit(client.lock, "a", limit=2, timeout=DEADLINE)
            wait_for_waiters(client, "a", 1)
            etcd.delete(guard.key)
            waiting.result().unlock()
            assert isinstance(guard.lost(), locker.LostError) and kept.held


def test_the_end_of_with_leaves_the_error_of_the_body(client: locker.Client, etcd: Etcd) -> None:
    with pytest.raises(ZeroDivisionError), client.lock_all(["a", "b"]) as guard:
        1 / 0
    assert not guard.held and etcd.keys() == []
    with client.lock_all(["a", "b"]) as early:
        early.unlock()
    with pytest.raises(locker.CancelledError):
        early.unlock()


def test_a_guard_of_several_that_nobody_has_unlocks(client: locker.Client, etcd: Etcd) -> None:
    guard = client.lock_all(["a", "b"])
    etcd.wait_for_keys(2)
    del guard
    etcd.wait_for_keys(0)
