"""The functions of the module, and the environment that says where etcd is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from interrupts import Interrupted, interrupt_after
from proxy import Proxy
from support import DEADLINE, Etcd, Program, run, until

import locker
import locker.testing
from locker import _default, aio


@pytest.fixture
def default(prefix: str, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The default client of this test has its prefix, and is new."""
    monkeypatch.setenv("LOCKER_PREFIX", prefix)
    monkeypatch.setenv("LOCKER_TTL", "3s")
    monkeypatch.setattr(_default, "_client", None)
    yield monkeypatch
    if client := _default.known():
        client.disconnect()


def test_one_line_locks(default: pytest.MonkeyPatch, etcd: Etcd) -> None:
    with locker.lock("a", value="node-3", reason="schema 42", timeout=5) as guard:
        assert guard.key == etcd.keys()[0].name
        assert 1 < guard.remaining <= 3
        info = locker.get("a")
        assert (info.token, info.value, info.reason) == (guard.token, "node-3", "schema 42")
        assert locker.try_lock("a") is None
        with pytest.raises(locker.TimeoutError):
            locker.lock("a", timeout=0)
        with locker.watch("a") as watcher:
            assert next(watcher).token == guard.token
            assert locker.get("a", cached=True) is locker.get("a", cached=True)
    assert etcd.keys() == []
    guard_or_none = locker.try_lock("a")
    assert guard_or_none is not None
    guard_or_none.unlock()


def test_one_line_locks_in_every_mode(default: pytest.MonkeyPatch, etcd: Etcd) -> None:
    async def main() -> None:
        async with aio.lock("a", shared=True), aio.lock("c", limit=2), aio.lock_all(["b", "d"], reason="r") as guard:
            assert (await aio.get("d")).reason == "r" and guard.names == ("b", "d")
            assert await aio.try_lock("c", limit=2) is None
            assert await aio.try_lock_all(["d", "e"], value="v") is None
            assert len(etcd.keys()) == 6

    with locker.lock("a", shared=True), locker.lock("c", limit=2):
        asyncio.run(main())
        reader, permit = locker.try_lock("a", shared=True), locker.try_lock("c", limit=2)
        assert reader is not None and permit is not None
        with reader, permit, locker.lock_all(["b", "d"], timeout=5) as guard:
            assert guard.names == ("b", "d")
            assert (locker.get("a").holders, locker.get("c").limit) == (2, 2)
            assert locker.try_lock_all(["d", "e"]) is None
    free = locker.try_lock_all(["d", "e"], value="v")
    assert free is not None
    free.unlock()


def test_a_loss_is_told(default: pytest.MonkeyPatch, etcd: Etcd) -> None:
    told: list[locker.LostError] = []
    with pytest.raises(locker.LostError), locker.lock("a", on_lost=told.append) as guard:
        etcd.delete(guard.key)
        until(lambda: told, "the loss is told")


def test_there_is_one_client_for_all_threads_and_loops(default: pytest.MonkeyPatch) -> None:
    async def many() -> list[aio.Client]:
        return await asyncio.gather(*(aio.default_client() for _ in range(50)))

    with ThreadPoolExecutor(16) as pool:
        clients = set(pool.map(lambda _: locker.default_client(), range(64)))
    assert len(clients) == 1
    assert {client._client for client in asyncio.run(many())} == clients


def test_many_tasks_connect_once(default: pytest.MonkeyPatch) -> None:
    async def many() -> list[aio.Client]:
        return await asyncio.gather(*(aio.default_client() for _ in range(50)))

    assert len({client._client for client in asyncio.run(many())}) == 1


def test_asyncio_has_the_same(default: pytest.MonkeyPatch, etcd: Etcd) -> None:
    async def main() -> None:
        async with aio.lock("a", value="v", reason="r", timeout=5) as guard:
            assert (await aio.get("a")).token == guard.token
            assert await aio.try_lock("a") is None
            async for info in aio.watch("a"):
                assert info.token == guard.token
                break
        guard = await aio.lock("a")
        await guard.unlock()
        tried = await aio.try_lock("a")
        assert tried is not None
        await tried.unlock()

    asyncio.run(main())
    assert etcd.keys() == []


def test_a_client_that_has_ended_is_replaced(default: pytest.MonkeyPatch, etcd: Etcd) -> None:
    first = locker.default_client()
    assert locker.default_client() is first
    first.disconnect()
    assert repr(first).endswith(", disconnected>")
    locker.lock("a").unlock()
    assert locker.default_client() is not first

    async def main() -> None:
        await (await aio.default_client()).disconnect()
        async with aio.lock("a"):
            pass

    asyncio.run(main())


def test_one_that_cannot_connect_tries_anew(default: pytest.MonkeyPatch) -> None:
    with default.context() as without:
        without.setenv("LOCKER_ENDPOINTS", "http://127.0.0.1:1")
        without.setenv("LOCKER_TIMEOUT", "300ms")
        with pytest.raises(locker.UnavailableError, match="127.0.0.1:1"):
            locker.lock("a")
        with pytest.raises(locker.UnavailableError, match="127.0.0.1:1"):
            asyncio.run(aio.get("a"))
    locker.lock("a").unlock()


def spent(call: Callable[[], object]) -> float:
    """Seconds until it fails for want of etcd."""
    start = time.monotonic()
    with pytest.raises(locker.UnavailableError, match="127.0.0.1:1"):
        call()
    return time.monotonic() - start


def test_who_finds_another_connecting_takes_its_outcome(default: pytest.MonkeyPatch) -> None:
    """So many callers do not wait one after the other for an etcd that is away. None has another's traceback."""
    default.setenv("LOCKER_ENDPOINTS", "http://127.0.0.1:1")
    default.setenv("LOCKER_TIMEOUT", "1s")

    async def tasks() -> list[BaseException]:
        outcomes = await asyncio.gather(*(aio.try_lock("a") for _ in range(12)), return_exceptions=True)
        return [outcome for outcome in outcomes if isinstance(outcome, locker.UnavailableError)]

    start = time.monotonic()
    errors = asyncio.run(tasks())
    assert len({id(error) for error in errors}) == 12
    assert time.monotonic() - start < 5
    with ThreadPoolExecutor(12) as pool:
        assert max(pool.map(lambda _: spent(locker.default_client), range(12))) < 5


def test_a_task_that_is_cancelled_while_it_connects_takes_none_along(default: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        first, *others = [asyncio.create_task(aio.default_client()) for _ in range(4)]
        await asyncio.sleep(0)
        others[0].cancel()
        first.cancel()
        outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes[:2]] == [asyncio.CancelledError] * 2
        assert outcomes[2]._client is outcomes[3]._client is locker.default_client()  # type: ignore[union-attr]

    asyncio.run(main())


def test_a_thread_that_is_interrupted_while_it_connects_takes_none_along(default: pytest.MonkeyPatch) -> None:
    """The others try for themselves."""

    def come() -> locker.Client:
        until(lambda: _default._attempt, "it connects")
        return locker.default_client()

    def stop(*_: object) -> None:
        cut_off.undo()
        raise Interrupted

    with Proxy() as proxy, ThreadPoolExecutor(4) as pool, default.context() as cut_off:
        proxy.swallow()
        cut_off.setenv("LOCKER_ENDPOINTS", proxy.endpoint)
        cut_off.setenv("LOCKER_TIMEOUT", "60")
        clients = [pool.submit(come) for _ in range(4)]
        with pytest.raises(Interrupted), interrupt_after(0.5, stop):
            locker.default_client()
        assert {client.result(DEADLINE) for client in clients} == {locker.default_client()}


def test_a_signal_handler_may_use_it_while_it_is_connected(default: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    def use(*_: object) -> None:
        assert _default._attempt is not None
        told.append(spent(lambda: locker.get("a")))

    with default.context() as without:
        without.setenv("LOCKER_ENDPOINTS", "http://127.0.0.1:1")
        without.setenv("LOCKER_TIMEOUT", "1s")
        with interrupt_after(0.3, use):
            spent(lambda: locker.lock("a"))
    assert len(told) == 1


def test_loops_and_threads_that_begin_together_have_one(default: pytest.MonkeyPatch) -> None:
    """The first that is connected."""

    async def of_a_loop() -> locker.Client:
        return (await aio.default_client())._client

    for _ in range(10):
        default.setattr(_default, "_client", None)
        together = threading.Barrier(4)

        def client(of: Callable[[], locker.Client]) -> locker.Client:
            together.wait()
            return of()

        with ThreadPoolExecutor(4) as pool:
            loop = lambda: asyncio.run(of_a_loop())  # noqa: E731
            clients = set(pool.map(client, [loop, loop, loop, locker.default_client]))
        assert clients == {locker.default_client()}
        clients.pop().disconnect()


def test_a_child_of_fork_has_its_own(etcd: Etcd, prefix: str) -> None:
    ended = run(
        """
    import os, sys, threading, warnings
    import locker
    from locker import _default
    warnings.simplefilter("ignore", DeprecationWarning)
    os.environ["LOCKER_PREFIX"] = sys.argv[1]

    def child(first):
        assert locker.default_client() is not first
        assert locker.try_lock("a") is None
        kept.append(locker.lock("b"))  # Until the end of the child.

    kept = []
    with locker.lock("a"):
        first = locker.default_client()
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                child(first)
                sys.exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        with _default._choosing:  # As if a thread were at it, and at connecting.
            _default._client = None
            thread = threading.Thread(target=lambda: _default._attempt.join())
            _default._begin(_default._Attempt())
            thread.start()
            pid = os.fork()
            if pid == 0:
                child(first)
                sys.exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        _default._end(_default._attempt)
        thread.join()
        assert locker.default_client() is not first
    print("well")
    """,
        prefix,
    )
    assert (ended.out, ended.err, ended.code) == ("well", "", 0)


def test_a_program_that_ends_gives_its_locks_back(etcd: Etcd, prefix: str) -> None:
    source = """
    import os, sys
    os.environ["LOCKER_PREFIX"] = sys.argv[1]
    import locker
    guard = locker.lock("a")
    print("go", flush=True)
    sys.stdin.readline()
    """
    with Program(source, prefix) as program:
        assert program.line() == "go"
        [key] = etcd.keys()
        program.tell()
        ended = program.end()
    assert (ended.code, ended.err) == (0, "") and ended.seconds < 2
    assert not etcd.lease_exists(key.lease)


@pytest.mark.parametrize("text, seconds", [("2", 2), ("2.5", 3), ("30s", 30), ("1m30s", 90)])
def test_the_ttl_is_in_the_environment(default: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    default.setenv("LOCKER_TTL", text)

    async def remaining() -> list[float]:
        async with aio.connect() as client, client.lock("b") as b, aio.lock("c") as c:
            return [b.remaining, c.remaining]

    with locker.connect() as client, client.lock("a") as a:
        for left in [a.remaining, *asyncio.run(remaining())]:
            assert seconds * 0.5 < left < seconds


@pytest.mark.parametrize("variable", ["LOCKER_TIMEOUT", "ETCDCTL_COMMAND_TIMEOUT"])
def test_the_timeout_is_in_the_environment(default: pytest.MonkeyPatch, variable: str) -> None:
    default.setenv("LOCKER_ENDPOINTS", "http://127.0.0.1:1")
    default.setenv("ETCDCTL_COMMAND_TIMEOUT", "60")
    default.setenv(variable, "300ms")
    start = time.monotonic()
    for call in (locker.default_client, locker.connect, lambda: asyncio.run(aio.get("a"))):
        with pytest.raises(locker.UnavailableError):
            call()
    assert time.monotonic() - start < 5


def test_what_is_given_goes_before_the_environment(default: pytest.MonkeyPatch, etcd: Etcd, prefix: str) -> None:
    """Also if it is the same as what would be if neither said anything."""

    async def shown(**given: Any) -> str:
        async with aio.connect(**given) as client, client.lock("a") as guard:
            return f"{guard.key.rpartition('a/')[0]} {guard.remaining:.0f}"

    default.setenv("LOCKER_TTL", "30")
    assert asyncio.run(shown()) == f"{prefix} 27"
    as_it_would_be: list[dict[str, Any]] = [{"prefix": "/locker/", "ttl": 10.0}, {"prefix": "/loc" + "ker/", "ttl": 10}]
    for given in as_it_would_be:
        assert asyncio.run(shown(**given)) == "/locker/ 9"
        with locker.connect(**given) as client, client.lock("a") as guard:
            assert guard.key.startswith("/locker/a/") and 8 < guard.remaining < 9.1
    with locker.connect(os.environ["LOCKER_ENDPOINTS"]) as client:  # Who says where etcd is says all of it.
        assert repr(client).endswith("prefix '/locker/'>")
    default.setenv("LOCKER_PREFIX", "")  # A value, where others would count as not set.
    with locker.connect() as client:
        assert repr(client).endswith("prefix ''>")


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "2y", "5s5", "-1s"])
@pytest.mark.parametrize("variable", ["LOCKER_TTL", "LOCKER_TIMEOUT", "ETCDCTL_COMMAND_TIMEOUT"])
def test_times_that_are_none(default: pytest.MonkeyPatch, variable: str, text: str) -> None:
    default.setenv(variable, text)
    for call in (locker.default_client, locker.connect, lambda: asyncio.run(aio.get("a"))):
        with pytest.raises(locker.InvalidError, match=f"^{variable}={text}: "):
            call()


Variables = dict[str, str]
USERS: dict[str, tuple[Variables, str]] = {
    "ours": ({"LOCKER_USER": "root", "LOCKER_PASSWORD": "secret-word"}, ""),
    "in one": ({"LOCKER_USER": "root:secret-word"}, ""),
    "etcdctl's": ({"ETCDCTL_USER": "root", "ETCDCTL_PASSWORD": "secret-word"}, ""),
    "a file": ({"LOCKER_USER": "root", "LOCKER_PASSWORD_FILE": "FILE"}, ""),
    "no password": ({"LOCKER_USER": "root"}, "no password for user root: set LOCKER_PASSWORD or LOCKER_PASSWORD_FILE"),
    "no such file": ({"LOCKER_USER": "root", "LOCKER_PASSWORD_FILE": "/no/such"}, "LOCKER_PASSWORD_FILE=/no/such: "),
}


@pytest.mark.parametrize("variables, complaint", USERS.values(), ids=USERS.keys())
def test_the_user_is_in_the_environment(
    default: pytest.MonkeyPatch, tmp_path: Path, variables: Variables, complaint: str
) -> None:
    """This etcd has none, and says so of a user: it was asked. What is secret is in no text."""
    (tmp_path / "password").write_text("secret-word\n")
    for variable, value in variables.items():
        default.setenv(variable, value.replace("FILE", str(tmp_path / "password")))
    calls: list[Any] = [locker.default_client, locker.connect, lambda: asyncio.run(aio.get("a"))]
    for call in calls:
        with pytest.raises(locker.Error) as caught:
            call()
        if complaint:
            assert isinstance(caught.value, locker.InvalidError) and str(caught.value).startswith(complaint)
        else:
            assert "authentication is not enabled" in str(caught.value)
        assert "secret-word" not in f"{caught.value!r} {caught.value}"
    locker.connect(os.environ["LOCKER_ENDPOINTS"]).disconnect()  # Who says where etcd is says all of it.


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """An etcd that wants to know who is there."""
    with locker.testing.Etcd() as etcd:
        for command in ("user add root:secret-word", "user grant-role root root", "auth enable"):
            told, env = ["etcdctl", *command.split()], {**os.environ, "ETCDCTL_ENDPOINTS": etcd.endpoint}
            subprocess.run(told, env=env, check=True, stdout=subprocess.DEVNULL, timeout=DEADLINE)
        yield etcd.endpoint


@pytest.mark.parametrize(
    "variables",
    [
        {"LOCKER_USER": "root:secret-word", "ETCDCTL_PASSWORD": "left over"},
        {"LOCKER_USER": "root:secret-word", "ETCDCTL_USER": "left", "ETCDCTL_PASSWORD": "over"},
        {"LOCKER_USER": "root", "ETCDCTL_PASSWORD": "secret-word"},
        {"ETCDCTL_USER": "root:secret-word", "LOCKER_USER": ""},
    ],
)
def test_the_password_is_that_of_the_user(default: pytest.MonkeyPatch, guarded: str, variables: dict[str, str]) -> None:
    default.setenv("LOCKER_ENDPOINTS", guarded)
    for variable, value in variables.items():
        default.setenv(variable, value)
    locker.lock("a").unlock()
    locker.default_client().disconnect()


@pytest.mark.parametrize("variable", ["LOCKER_CACERT", "ETCDCTL_CACERT"])
def test_files_are_in_the_environment(default: pytest.MonkeyPatch, variable: str) -> None:
    default.setenv("LOCKER_ENDPOINTS", "https://127.0.0.1:1")
    default.setenv(variable, "/no-such-file.pem")
    for call in (locker.default_client, locker.connect):
        with pytest.raises(locker.InvalidError, match="no-such-file.pem"):
            call()


@pytest.mark.parametrize("ours", [True, False])
def test_certificates_are_in_the_environment(default: pytest.MonkeyPatch, ours: bool) -> None:
    default.setenv("LOCKER_ENDPOINTS", "https://127.0.0.1:1")
    default.setenv("LOCKER_CERT" if ours else "ETCDCTL_CERT", "/no-such-cert.pem")
    with pytest.raises(locker.InvalidError, match="cert_file is given without key_file"):
        locker.default_client()
    default.setenv("LOCKER_CERT_KEY" if ours else "ETCDCTL_KEY", "/no-such-key.pem")
    with pytest.raises(locker.InvalidError, match="no-such-"):
        locker.default_client()
    with pytest.raises(locker.InvalidError, match="key_file is given without cert_file"):
        locker.connect(key_file="mine.pem")  # What goes together is not taken from both.


def test_no_secret_is_shown() -> None:
    with pytest.raises(locker.Error) as caught:
        locker.connect("http://root:secret-word@127.0.0.1:2379")
    assert "secret-word" not in f"{caught.value!r} {caught.value}"
