"""A lock that is lost while it is held: never in silence, and never over the body's own error."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest
from conftest import Connect
from proxy import Proxy
from support import Etcd, until

import locker


def lose(guard: locker.Guard, etcd: Etcd) -> None:
    """Take the lock away by hand, and wait until its holder knows."""
    etcd.delete(guard.key)
    until(lambda: not guard.held, "the guard has noticed", limit=1)


def test_check_and_unlock_tell(client: locker.Client, etcd: Etcd) -> None:
    guard = client.lock("a")
    lose(guard, etcd)
    assert (guard.state, guard.token, guard.remaining) == ("ended", 0, 0)
    with pytest.raises(locker.LostError, match="a"):
        guard.check()
    with pytest.raises(locker.LostError):
        guard.unlock()


def test_with_tells(client: locker.Client, etcd: Etcd) -> None:
    with pytest.raises(locker.LostError):
        with client.lock("a") as guard:
            lose(guard, etcd)


def test_with_tells_even_before_the_guard_has_noticed(client: locker.Client, etcd: Etcd) -> None:
    with pytest.raises(locker.LostError):
        with client.lock("a") as guard:
            etcd.delete(guard.key)


def test_the_error_of_the_body_wins(client: locker.Client, etcd: Etcd) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        with client.lock("a") as guard:
            lose(guard, etcd)
            1 / 0
    if sys.version_info >= (3, 11):
        [note] = caught.value.__notes__
        assert note.startswith("locker: ") and "LostError" in note


@pytest.mark.parametrize("code", [None, 0, 3])
def test_an_exit_does_not_hide_a_loss(client: locker.Client, etcd: Etcd, code: int | None) -> None:
    with pytest.raises(locker.LostError):
        with client.lock("a") as guard:
            lose(guard, etcd)
            sys.exit(code)
    with pytest.raises(SystemExit):
        with client.lock("a"):
            sys.exit(code)


def test_a_generator_that_is_closed_does_not_hide_a_loss(client: locker.Client, etcd: Etcd) -> None:
    def work() -> Generator[locker.Guard, None, None]:
        with client.lock("a") as guard:
            yield guard

    generator = work()
    lose(next(generator), etcd)
    with pytest.raises(locker.LostError):
        generator.close()


def test_a_loss_that_was_seen_is_not_told_again(client: locker.Client, etcd: Etcd) -> None:
    with client.lock("a") as guard:
        lose(guard, etcd)
        with pytest.raises(locker.LostError):
            guard.unlock()


def test_the_lock_can_be_taken_again(client: locker.Client, etcd: Etcd) -> None:
    guard = client.lock("a")
    token = guard.token
    lose(guard, etcd)
    with client.lock("a", timeout=5) as again:
        assert again.token > token


def test_a_holder_that_is_cut_off_knows_before_others_can_hold(connect: Connect, etcd: Etcd) -> None:
    with Proxy() as proxy:
        cut_off = connect(proxy.endpoint, ttl=2, timeout=0.5)
        guard = cut_off.lock("a")
        lease = etcd.keys()[0].lease
        proxy.swallow()
        until(lambda: not guard.held, "the guard has noticed", limit=2.5)
        assert etcd.lease_exists(lease)
        with pytest.raises(locker.LostError):
            guard.check()
        with pytest.raises(locker.UnavailableError):
            cut_off.get("a")
        with pytest.raises(locker.UnavailableError):
            cut_off.disconnect()
        connect().lock("a", timeout=10).unlock()
