"""Watching who holds a lock."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Connect
from interrupts import Interrupted, interrupt_after
from support import Etcd, until

import locker


def test_a_watcher_tells_the_present_holder_and_each_change(client: locker.Client, other: locker.Client) -> None:
    with other.watch("a") as watcher:
        assert next(watcher) == other.get("a")
        for value in ["first", "second"]:
            guard = client.lock("a", value=value)
            seen = next(watcher)
            assert (seen.name, seen.token, seen.value) == ("a", guard.token, value)
            guard.unlock()
            assert not next(watcher).held


def test_a_watcher_of_a_held_lock_begins_with_its_holder(client: locker.Client) -> None:
    with client.lock("a", value="node-3") as guard, client.watch("a") as watcher:
        assert next(watcher).token == guard.token


def test_a_handover_is_told(client: locker.Client, other: locker.Client, etcd: Etcd) -> None:
    with client.watch("a") as watcher, ThreadPoolExecutor(1) as pool:
        assert not next(watcher).held
        first = client.lock("a")
        waiting = pool.submit(other.lock, "a")
        etcd.wait_for_keys(2)
        first_token = first.token
        first.unlock()
        second = waiting.result()
        second_token = second.token
        second.unlock()
        tokens = []
        while (info := next(watcher)).held:
            tokens.append(info.token)
        assert tokens[0] == first_token
        assert set(tokens) == {first_token, second_token}


def test_what_is_watched_is_known(connect: Connect, other: locker.Client) -> None:
    client = connect()
    assert client.get("a", cached=True) is not client.get("a", cached=True)  # Both are read.
    with client.watch("a") as watcher:
        free = next(watcher)
        known = client.get("a", cached=True)
        assert known is client.get("a", cached=True)
        assert known == free
        assert 0 < known.revision == free.revision
        with other.lock("a", value="node-3") as guard:
            told = next(watcher)
            known = client.get("a", cached=True)
            assert (known.token, known.value) == (guard.token, "node-3")
            assert free.revision < told.revision <= known.revision <= client.get("a").revision
            assert known == client.get("a")
            assert other.get("a", cached=True) == known  # It does not watch, and so has read it.
        assert not next(watcher).held
        assert client.get("a", cached=True) == free
    client.disconnect()
    with pytest.raises(locker.CancelledError):
        client.get("a", cached=True)


def test_who_waits_knows_it_too(client: locker.Client, other: locker.Client) -> None:
    with client.lock("a") as guard, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other.lock, "a")
        until(lambda: other.get("a", cached=True) is other.get("a", cached=True), "it is known")
        assert other.get("a", cached=True).token == guard.token
        guard.unlock()
        waiting.result().unlock()


def test_what_was_known_is_not_kept(client: locker.Client) -> None:
    def alive() -> int:
        return sum(type(thing) is locker.Info for thing in gc.get_objects())

    before = alive()
    with client.watch("a") as watcher:
        for _ in range(30):
            with client.lock("a"):
                while not next(watcher).held:
                    pass
                assert client.get("a", cached=True).held
        assert alive() < before + 5


@pytest.mark.parametrize("bad", [1, "yes", None])
def test_only_a_bool_says_whether_memory_will_do(client: locker.Client, bad: Any) -> None:
    with pytest.raises(TypeError, match="^cached: must be bool, not "):
        client.get("a", cached=bad)


def test_unwatch_ends_the_iteration(client: locker.Client) -> None:
    watcher = client.watch("a")
    assert not next(watcher).held
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(list[locker.Info], watcher) for _ in range(2)]
        watcher.unwatch()
        assert [reader.result() for reader in waiting] == [[], []]
    watcher.unwatch()
    assert list(watcher) == []


def test_disconnect_ends_the_iteration(connect: Connect) -> None:
    client = connect()
    watcher = client.watch("a")
    assert not next(watcher).held
    client.disconnect()
    assert list(watcher) == []
    watcher.unwatch()


def test_an_interrupted_reader_loses_nothing(client: locker.Client, other: locker.Client) -> None:
    """The lock changes hands while the signal's handler runs: its reader has the new state, and is interrupted."""
    guards = []

    def interrupt(*_: object) -> None:
        with client.watch("a") as second:
            assert not next(second).held
            guards.append(other.lock("a"))
            assert next(second).token == guards[0].token
        raise Interrupted

    watcher = client.watch("a")
    assert not next(watcher).held
    with pytest.raises(Interrupted), interrupt_after(0.01, interrupt):
        next(watcher)
    assert next(watcher).token == guards[0].token
    guards[0].unlock()
    assert not next(watcher).held
    watcher.unwatch()
