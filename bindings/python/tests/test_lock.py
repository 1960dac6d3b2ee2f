"""One lock, in turns: between clients, between guards of one client, between threads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from conftest import Connect
from support import Etcd, until

import locker


def test_a_lock_is_held_and_released(client: locker.Client, etcd: Etcd) -> None:
    guard = client.lock("a", value="node-3", reason="upgrade")
    assert (guard.name, guard.state, guard.held) == ("a", "held", True)
    assert guard.token > 0
    assert 0 < guard.remaining <= 3
    guard.check()
    [key] = etcd.keys()
    assert key.name == guard.key
    guard.unlock()
    assert (guard.state, guard.held, guard.token, guard.remaining) == ("ended", False, 0, 0)
    assert etcd.keys() == []


def test_with_unlocks_and_disconnects(connect: Connect, etcd: Etcd) -> None:
    with connect() as client:
        with client.lock("a") as guard:
            assert guard.held
            lease = etcd.keys()[0].lease
        assert not guard.held
        assert etcd.keys() == []
    assert not etcd.lease_exists(lease)
    with pytest.raises(locker.CancelledError):
        client.get("a")
    client.disconnect()


def test_get_tells_who_holds_it(client: locker.Client, other: locker.Client) -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    with client.lock("a", value="node-3", reason="upgrade") as guard:
        info = other.get("a")
        assert (info.name, info.token, info.mode, info.held) == ("a", guard.token, "exclusive", True)
        assert (info.value, info.reason, info.pid, info.waiters) == ("node-3", "upgrade", os.getpid(), 0)
        assert info.host == os.uname().nodename
        assert info.program == "pytest"
        assert info.since is not None and before <= info.since <= datetime.now(timezone.utc)
        mine = guard.info()
        assert (mine.token, mine.value, mine.reason, mine.pid) == (info.token, info.value, info.reason, info.pid)
    free = other.get("a")
    assert (free.name, free.token, free.mode, free.held, free.value) == ("a", 0, "free", False, "")
    assert free == other.get("a") and free != info


def test_the_value_is_host_and_pid_unless_given(client: locker.Client) -> None:
    with client.lock("a"):
        assert client.get("a").value == f"{os.uname().nodename}:{os.getpid()}"


def test_two_guards_of_one_client_exclude_each_other(client: locker.Client) -> None:
    with client.lock("a") as first:
        assert client.try_lock("a") is None
        with pytest.raises(locker.TimeoutError):
            client.lock("a", timeout=0.2)
        token = first.token
    with client.lock("a") as second:
        assert second.token > token


def test_a_busy_lock_is_not_taken(client: locker.Client, other: locker.Client, etcd: Etcd) -> None:
    with client.lock("a"):
        assert other.try_lock("a", value="v", reason="r") is None
        with pytest.raises(locker.TimeoutError):
            other.lock("a", timeout=0)
        assert len(etcd.keys()) == 1
    guard = other.try_lock("a", value="v", reason="r")
    assert guard is not None and guard.held
    assert (client.get("a").value, client.get("a").reason) == ("v", "r")
    guard.unlock()


def test_a_wait_that_ends_says_who_holds_it(client: locker.Client, other: locker.Client, etcd: Etcd) -> None:
    with client.lock("a", value="node-3", reason="upgrade") as guard:
        start = time.monotonic()
        with pytest.raises(locker.TimeoutError) as caught:
            other.lock("a", timeout=0.3)
        assert 0.3 <= time.monotonic() - start < 1.3
        holder = caught.value.holder
        assert holder is not None
        assert (holder.token, holder.value, holder.reason) == (guard.token, "node-3", "upgrade")
        assert "upgrade" in str(caught.value) and str(os.getpid()) in str(caught.value)
        etcd.wait_for_keys(1)


def test_a_guard_ends_once(client: locker.Client) -> None:
    guard = client.lock("a")
    guard.unlock()
    with pytest.raises(locker.CancelledError):
        guard.check()
    with pytest.raises(locker.CancelledError):
        guard.unlock()
    with client.lock("a") as early:
        early.unlock()


def test_disconnect_ends_the_guards(connect: Connect, etcd: Etcd) -> None:
    client = connect()
    guard = client.lock("a")
    client.disconnect()
    assert not guard.held
    assert etcd.keys() == []
    with pytest.raises(locker.CancelledError):
        guard.check()
    with pytest.raises(locker.CancelledError):
        client.lock("a")


def test_a_guard_that_nobody_has_unlocks(client: locker.Client, etcd: Etcd) -> None:
    guard = client.lock("a")
    etcd.wait_for_keys(1)
    del guard
    etcd.wait_for_keys(0)


def test_a_client_that_nobody_has_disconnects(prefix: str, etcd: Etcd) -> None:
    guard = locker.connect(prefix=prefix).lock("a")
    [key] = etcd.keys()
    guard.check()
    del guard
    until(lambda: not etcd.lease_exists(key.lease), "the lease is revoked")


def test_threads_take_turns(connect: Connect) -> None:
    counter, tokens = 0, []

    def work(client: locker.Client) -> None:
        nonlocal counter
        for _ in range(25):
            with client.lock("counter") as guard:
                seen = counter
                time.sleep(0)
                counter = seen + 1
                tokens.append(guard.token)

    clients = [connect(), connect()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, clients * 2))
    assert counter == 100
    assert tokens == sorted(set(tokens))


def test_one_thread_locks_and_another_unlocks(client: locker.Client, other: locker.Client, etcd: Etcd) -> None:
    guard = client.lock("a")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other.lock, "a")
        etcd.wait_for_keys(2)
        assert client.get("a").waiters == 1
        unlocking = threading.Thread(target=guard.unlock)
        unlocking.start()
        waiting.result().unlock()
        unlocking.join()


def test_waiting_does_not_hold_the_gil(client: locker.Client, other: locker.Client, etcd: Etcd) -> None:
    with ThreadPoolExecutor(1) as pool, client.lock("a"):
        waiting = pool.submit(other.lock, "a", timeout=0.5)
        start, rounds = time.monotonic(), 0
        while not waiting.done():
            rounds += 1
        assert isinstance(waiting.exception(), locker.TimeoutError)
        assert rounds > 10_000 * (time.monotonic() - start)


def test_what_things_look_like(client: locker.Client, etcd: Etcd) -> None:
    with client.lock("a") as guard:
        assert repr(guard) == f"<locker.Guard of 'a', held, token {guard.token}>"
        assert repr(guard.info()).startswith(f"Info(name='a', token={guard.token}, mode='exclusive', ")
    assert repr(client) == f"<locker.Client of {os.environ['LOCKER_ENDPOINTS']}, prefix {etcd.prefix!r}>"
    with client.watch("it's") as watcher:
        assert repr(watcher) == """<locker.Watcher of "it's">"""
    assert repr(watcher) == """<locker.Watcher of "it's", ended>"""
    client.disconnect()
    assert repr(client).endswith(", disconnected>")
    assert repr(guard) == "<locker.Guard of 'a', ended, token 0>"


def test_an_exit_stack_holds_many(client: locker.Client, etcd: Etcd) -> None:
    with ExitStack() as stack:
        guards = [stack.enter_context(client.lock(name)) for name in "abc"]
        kept = stack.enter_context(client.lock("kept"))
        stack.pop_all()  # Whose end is not this block's.
        assert all(guard.held for guard in guards)
    assert kept.held
    for guard in [*guards, kept]:
        guard.unlock()
    with closing_by_unlock(client.lock("a")) as one:
        assert one.held
    assert not one.held


@contextmanager
def closing_by_unlock(guard: locker.Guard) -> Iterator[locker.Guard]:
    """What contextlib makes of a generator: its errors take another way."""
    with guard:
        yield guard


def test_a_generator_based_context_manager_tells_of_errors(client: locker.Client) -> None:
    with pytest.raises(ZeroDivisionError), closing_by_unlock(client.lock("a")) as guard:
        1 / 0
    assert not guard.held


def test_no_block_runs_without_the_lock(client: locker.Client, etcd: Etcd) -> None:
    guard = client.lock("a")
    with guard:
        with pytest.raises(locker.InvalidError, match="^the guard is in a with block already"), guard:
            raise AssertionError("the body ran")
        assert guard.held
    with pytest.raises(locker.CancelledError), guard:
        raise AssertionError("the body ran")
    unlocked, lost = client.lock("a"), client.lock("b")
    unlocked.unlock()
    with pytest.raises(locker.CancelledError), unlocked:
        raise AssertionError("the body ran")
    etcd.delete(lost.key)
    until(lambda: not lost.held, "the loss is known")
    with pytest.raises(locker.LostError), lost:
        raise AssertionError("the body ran")


def test_no_block_runs_without_a_connection(connect: Connect) -> None:
    client = connect()
    with client:
        guard = client.lock("a")
    with pytest.raises(locker.CancelledError), client:
        raise AssertionError("the body ran")
    with pytest.raises(locker.CancelledError), guard:
        raise AssertionError("the body ran")


def test_a_prefix_may_be_empty_to_share_a_lock_with_etcdctl(prefix: str, etcd: Etcd) -> None:
    name = f"{prefix.strip('/').replace('/', '-')}-empty"
    with locker.connect(prefix="") as client, client.lock(name) as guard:
        assert guard.key.startswith(f"{name}/")


def test_a_foreign_holder_is_shown(client: locker.Client, etcd: Etcd) -> None:
    etcd.put(f"{etcd.prefix}a/by-hand", "who")
    info = client.get("a")
    assert (info.mode, info.value, info.held) == ("foreign", "who", True)
    assert client.try_lock("a") is None
    etcd.delete(f"{etcd.prefix}a/by-hand")
    client.lock("a", timeout=5).unlock()
