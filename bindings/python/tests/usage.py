"""Uses of every name of locker, read by `mypy --strict` and never run. What must be refused is marked as an error, and
mypy complains of a mark that is not needed."""

from __future__ import annotations

import asyncio
import builtins
from datetime import datetime
from pathlib import Path
from typing import Literal

from typing_extensions import assert_type

import locker
import locker.testing
from locker import aio


def stop(error: locker.LostError) -> None: ...


def wrong(error: str) -> None: ...


with locker.lock("a", value="v", reason="r", timeout=5, on_lost=stop) as guard:
    assert_type(guard, locker.Guard)
    assert_type(guard.lost(), locker.Error)
assert_type(locker.try_lock("a", on_lost=stop), locker.Guard | None)
assert_type(locker.get("a"), locker.Info)
assert_type(locker.watch("a"), locker.Watcher)
assert_type(locker.default_client(), locker.Client)
locker.lock("a", on_lost=wrong)  # type: ignore[arg-type]
assert_type(locker.lock("a", shared=True), locker.Guard)
assert_type(locker.try_lock("a", limit=3), locker.Guard | None)
assert_type(locker.lock_all(["a", "b"], value="v", reason="r", timeout=5, on_lost=stop), locker.Guard)
assert_type(locker.try_lock_all({"a", "b"}, value="v", reason="r", on_lost=stop), locker.Guard | None)
locker.lock("a", shared="yes")  # type: ignore[arg-type]
locker.lock("a", limit=3.0)  # type: ignore[arg-type]
locker.lock_all([1])  # type: ignore[list-item]
locker.lock_all("a", limit=3)  # type: ignore[call-arg]


@locker.locked("a", reason="r", timeout=5, limit=3, client=locker.default_client())
def work(one: int, *, two: str = "") -> float:
    return 1.0


assert_type(work(1, two="2"), float)
work("1")  # type: ignore[arg-type]
work(1, 2)  # type: ignore[call-arg, arg-type]


class Host:
    @locker.locked(lambda self: f"reboot/{self}")
    def reboot(self) -> bool:
        return True


assert_type(Host().reboot(), bool)
locker.locked(3)  # type: ignore[arg-type]

with locker.connect("http://127.0.0.1:2379", prefix="", ttl=10, timeout=2.5, ca_file=Path("ca.pem")) as client:
    assert_type(client, locker.Client)
    with client.lock("a", value="v", reason="r", timeout=5) as guard:
        assert_type(guard, locker.Guard)
        assert_type(guard.name, str)
        assert_type(guard.token, int)
        assert_type(guard.key, str)
        assert_type(guard.names, tuple[str, ...])
        assert_type(guard.keys, tuple[str, ...])
        assert_type(guard.state, Literal["waiting", "held", "at_risk", "ended"])
        assert_type(guard.held, bool)
        assert_type(guard.remaining, float)
        assert_type(guard.info(), locker.Info)
        guard.check()
        guard.unlock()
        guard.token = 5  # type: ignore[misc]
    maybe = client.try_lock("a")
    assert_type(maybe, locker.Guard | None)
    maybe.unlock()  # type: ignore[union-attr]
    info = client.get("a")
    assert_type(client.get("a", cached=True), locker.Info)
    assert_type(info.revision, int)
    assert_type(info.mode, Literal["free", "exclusive", "shared", "foreign"])
    assert_type(info.holders, int)
    assert_type(info.limit, int)
    with client.lock_all(name for name in "ab") as both:
        assert_type(both, locker.Guard)
    assert_type(client.try_lock_all(("a", "b")), locker.Guard | None)
    client.get("a", True)  # type: ignore[call-arg]
    assert_type(info.since, datetime | None)
    assert_type(info.lease_left, float | None)
    assert_type(info.held, bool)
    with client.watch("a") as watcher:
        for change in watcher:
            assert_type(change, locker.Info)
    client.lock(b"a")  # type: ignore[arg-type]
    client.lock("a", 5)  # type: ignore[call-arg, arg-type]
    client.disconnect()

locker.connect()
locker.connect(["http://a:2379", "http://b:2379"], username="u", password="p", cert_file="c", key_file="k")

try:
    client.lock("a", timeout=0)
except locker.TimeoutError as error:
    assert_type(error.holder, locker.Info | None)
    assert_type(error.detail, int | None)
    assert_type(error.code, str)
    caught: builtins.TimeoutError = error
except (locker.LostError, locker.CancelledError, locker.UnavailableError, locker.DeniedError, locker.InvalidError):
    raise
except locker.Error as other:
    assert_type(other, locker.Error)


@aio.locked("a", timeout=5, shared=True)
async def work_aio(one: int, *, two: str = "") -> float:
    return 1.0


@aio.locked("a")  # type: ignore[arg-type]
def not_async(one: int) -> float:
    return 1.0


async def usage() -> None:
    assert_type(await work_aio(1, two="2"), float)
    async with aio.lock("a", value="v", reason="r", timeout=5, on_lost=stop) as guard:
        assert_type(guard, aio.Guard)
    assert_type(await aio.lock("a"), aio.Guard)
    assert_type(await aio.try_lock("a"), aio.Guard | None)
    assert_type(await aio.get("a"), locker.Info)
    async for info in aio.watch("a"):
        assert_type(info, locker.Info)
    assert_type(await aio.default_client(), aio.Client)
    async with aio.connect("http://127.0.0.1:2379", ttl=10) as client:
        assert_type(client, aio.Client)
        async with client.lock("a", value="v", reason="r", timeout=5) as guard:
            assert_type(guard, aio.Guard)
            assert_type(guard.token, int)
            assert_type(await guard.lost(), locker.Error)
        assert_type(await client.lock("a"), aio.Guard)
        assert_type(await asyncio.wait_for(client.lock("a"), 5), aio.Guard)
        assert_type(await asyncio.create_task(client.lock("a")), aio.Guard)
        assert_type(await client.try_lock("a"), aio.Guard | None)
        async with client.lock("a", shared=True) as guard, aio.lock("b", limit=3) as guard:
            assert_type(guard.names, tuple[str, ...])
            assert_type(guard.keys, tuple[str, ...])
        async with client.lock_all(["a", "b"], timeout=5) as guard:
            assert_type(guard, aio.Guard)
        assert_type(await aio.lock_all(["a", "b"]), aio.Guard)
        assert_type(await client.try_lock_all(["a", "b"]), aio.Guard | None)
        assert_type(await aio.try_lock_all(["a", "b"]), aio.Guard | None)
        assert_type(await client.get("a"), locker.Info)
        assert_type(await client.get("a", cached=True), locker.Info)
        async for info in client.watch("a"):
            assert_type(info, locker.Info)
        async with client.watch("a") as watcher:
            assert_type(watcher, aio.Watcher)
            assert_type(await anext(watcher), locker.Info)
        with client.lock("a"):  # type: ignore[attr-defined]
            pass
        client.lock("a").token  # type: ignore[attr-defined]
    another = await aio.connect()
    await another.disconnect()


def test_with_fixtures(locker_etcd: str, locker_prefix: str, locker_client: locker.Client) -> None:
    locker.connect(locker_etcd, prefix=locker_prefix)


with locker.testing.Etcd() as etcd:
    assert_type(etcd, locker.testing.Etcd)
    assert_type(etcd.endpoint, str)
    etcd.stop()
