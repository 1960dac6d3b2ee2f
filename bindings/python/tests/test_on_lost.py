"""Functions that are told of a loss."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from queue import Empty, Queue
from typing import Any

import pytest
from conftest import Connect
from proxy import Proxy
from support import DEADLINE, Etcd, Program, run

import locker
from locker import _threads, aio

Told = Queue[tuple[locker.LostError, threading.Thread]]


@pytest.fixture
def told() -> Told:
    return Queue()


def into(told: Told) -> Callable[[locker.LostError], None]:
    return lambda error: told.put((error, threading.current_thread()))


def flushed(client: locker.Client, etcd: Etcd) -> None:
    """Another loss is told after all that came before."""
    last: Told = Queue()
    guard = client.lock("flush", on_lost=into(last))
    etcd.delete(guard.key)
    last.get(timeout=DEADLINE)


def test_a_loss_is_told_once_on_a_thread_of_its_own(client: locker.Client, etcd: Etcd, told: Told) -> None:
    with pytest.raises(locker.LostError):
        with client.lock("a", on_lost=into(told)) as guard:
            etcd.delete(guard.key)
            error, thread = told.get(timeout=DEADLINE)
            assert not guard.held
    assert (type(error), error.loss) == (locker.LostError, "key_deleted")
    assert (thread.name, thread.daemon) == ("locker-on-lost", True)
    flushed(client, etcd)
    with pytest.raises(Empty):
        told.get_nowait()


def test_a_try_is_told_too(client: locker.Client, etcd: Etcd, told: Told) -> None:
    guard = client.try_lock("a", on_lost=into(told))
    assert guard is not None
    assert client.try_lock("a", on_lost=into(told)) is None
    etcd.delete(guard.key)
    told.get(timeout=DEADLINE)
    assert told.empty()


def test_who_is_cut_off_is_told(prefix: str, etcd: Etcd, client: locker.Client, told: Told) -> None:
    with Proxy() as proxy:
        cut_off = locker.connect(proxy.endpoint, prefix=prefix, ttl=2, timeout=0.5)
        guard = cut_off.lock("a", on_lost=into(told))
        proxy.swallow()
        error, _ = told.get(timeout=DEADLINE)
        assert error.loss == "expired" and not guard.held
        with pytest.raises(locker.UnavailableError):
            cut_off.disconnect()
        client.lock("a", timeout=DEADLINE).unlock()


def test_what_is_unlocked_is_not_lost(connect: Connect, etcd: Etcd, told: Told) -> None:
    client, other = connect(), connect()
    with client.lock("a", on_lost=into(told)):
        pass
    client.lock("a", on_lost=into(told)).unlock()
    forgotten = client.lock("a", on_lost=into(told))
    del forgotten
    disconnected = client.lock("a", timeout=DEADLINE, on_lost=into(told))
    client.disconnect()
    assert not disconnected.held
    flushed(other, etcd)
    assert told.empty()


def test_a_guard_that_is_forgotten_just_after_its_loss_tells_it(client: locker.Client, etcd: Etcd, told: Told) -> None:
    """However soon: the thread that tells it may not have had its turn yet."""
    for _ in range(20):
        guard = client.lock("a", on_lost=into(told))
        etcd.delete(guard.key)
        while guard.held:
            pass
        del guard
        assert told.get(timeout=DEADLINE)[0].loss == "key_deleted"


def test_a_loss_that_unlock_finds_is_raised_there(client: locker.Client, etcd: Etcd, told: Told) -> None:
    """In any case; it is told as well if it was known before."""
    guard = client.lock("a", on_lost=into(told))
    etcd.delete(guard.key)
    with pytest.raises(locker.LostError):
        guard.unlock()
    flushed(client, etcd)
    assert told.qsize() <= 1


def test_nobody_is_told_after_unlock_or_disconnect(connect: Connect, etcd: Etcd, told: Told) -> None:
    """Not even of a loss that was known before, and waited for its turn on the thread that tells."""
    client, other = connect(), connect()
    busy, go_on = threading.Event(), threading.Event()

    def hold_up(error: locker.LostError) -> None:
        busy.set()
        go_on.wait(DEADLINE)

    first = other.lock("first", on_lost=hold_up)
    unlocked, disconnected = (client.lock(name, on_lost=into(told)) for name in "ab")
    etcd.delete(first.key)
    assert busy.wait(DEADLINE)
    for guard in (unlocked, disconnected):
        etcd.delete(guard.key)
        assert isinstance(guard.lost(), locker.LostError)
    with pytest.raises(locker.LostError):
        unlocked.unlock()
    client.disconnect()
    go_on.set()
    flushed(other, etcd)
    assert told.empty()


def test_a_guard_in_a_cycle_with_its_function_unlocks(client: locker.Client, etcd: Etcd) -> None:
    class Worker:
        def __init__(self) -> None:
            self.guard = client.lock("a", on_lost=self.stop)

        def stop(self, error: locker.LostError) -> None:
            raise AssertionError

    worker = Worker()
    gone = weakref.ref(worker)
    etcd.wait_for_keys(1)
    del worker
    gc.collect()
    assert gone() is None
    etcd.wait_for_keys(0)


def test_an_object_that_waits_for_a_loss_is_kept_by_nobody(client: locker.Client) -> None:
    class Stop:
        def __call__(self, error: locker.LostError) -> None: ...

    stop = Stop()
    gone = weakref.ref(stop)
    guard = client.lock("a", on_lost=stop)
    del stop
    assert gone() is not None
    guard.unlock()
    del guard
    assert gone() is None


@pytest.mark.parametrize("raised", [ZeroDivisionError("mine"), SystemExit(3)])
def test_what_it_raises_is_reported_and_hurts_nobody(
    client: locker.Client, etcd: Etcd, told: Told, raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: Queue[Any] = Queue()
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reports.put((report.exc_value, report.object)))

    def fail(error: locker.LostError) -> None:
        raise raised

    guard = client.lock("a", on_lost=fail)
    etcd.delete(guard.key)
    assert reports.get(timeout=DEADLINE) == (raised, fail)
    flushed(client, etcd)


def test_it_runs_in_the_context_of_the_call(client: locker.Client, etcd: Etcd) -> None:
    request = contextvars.ContextVar[str]("request")
    seen: Queue[str] = Queue()
    request.set("before")
    guard = client.lock("a", on_lost=lambda error: seen.put(request.get()))
    request.set("after")
    etcd.delete(guard.key)
    assert seen.get(timeout=DEADLINE) == "before"


def test_it_may_use_locker(client: locker.Client, etcd: Etcd, told: Told) -> None:
    again: Queue[locker.Guard] = Queue()
    guard = client.lock("a", on_lost=lambda error: again.put(client.lock("a", timeout=DEADLINE, on_lost=into(told))))
    etcd.delete(guard.key)
    second = again.get(timeout=DEADLINE)
    assert second.held
    etcd.delete(second.key)
    told.get(timeout=DEADLINE)


@pytest.mark.parametrize("bad", ["stop", 3, False])
def test_it_must_be_a_function(client: locker.Client, etcd: Etcd, bad: Any) -> None:
    for call in (client.lock, client.try_lock):
        with pytest.raises(TypeError, match=f"^on_lost: must be a function, not {type(bad).__name__}$"):
            call("a", on_lost=bad)
    assert etcd.keys() == []


def test_it_must_not_be_a_coroutine_function(client: locker.Client) -> None:
    async def stop(error: locker.LostError) -> None: ...

    class Stop:
        async def __call__(self, error: locker.LostError) -> None: ...

    for function in (stop, Stop(), functools.partial(Stop())):
        with pytest.raises(TypeError, match="^on_lost: must be an ordinary function, not a coroutine function"):
            client.lock("a", on_lost=function)


def test_a_coroutine_that_it_returns_is_an_error(
    client: locker.Client, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ended, without a complaint that nobody awaited it."""
    reports: Queue[Any] = Queue()
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reports.put(report.exc_value))

    async def stop(error: locker.LostError) -> None: ...

    guard = client.lock("a", on_lost=lambda error: stop(error))
    etcd.delete(guard.key)
    report = reports.get(timeout=DEADLINE)
    assert isinstance(report, TypeError) and "returned a coroutine, which nobody awaits" in str(report)
    gc.collect()
    assert reports.empty()


def test_a_signal_handler_may_need_the_thread_that_is_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    errand = _threads.Errand("again", lambda: False)

    def start(name: str, target: object) -> None:
        started.append(name)
        errand.start()  # By a signal handler, in the same thread.

    monkeypatch.setattr(_threads, "_start_thread", start)
    errand.start()
    assert started == ["again"]


def test_a_fork_tells_in_each_process_its_own(etcd: Etcd, prefix: str) -> None:
    """Also where the function forks: the child is on the thread that tells losses, and gets another."""
    ended = run(
        """
    import os, queue, subprocess, sys, warnings
    import locker
    warnings.simplefilter("ignore", DeprecationWarning)
    told = queue.Queue()

    def lose(guard):
        subprocess.run(["etcdctl", "del", guard.key], check=True, stdout=subprocess.DEVNULL)

    def child(*_):
        pid = os.fork()
        if pid == 0:
            mine_told = queue.Queue()  # The other is as it was in the parent, with a thread that waits for it.
            with locker.connect(prefix=sys.argv[1], ttl=2) as mine:
                guard = mine.lock("b", on_lost=mine_told.put)
                lose(guard)
                assert mine_told.get(timeout=10).loss == "key_deleted"
            os._exit(3)
        told.put(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    client = locker.connect(prefix=sys.argv[1], ttl=2)
    guard = client.lock("a", on_lost=child)
    child()
    assert told.get(timeout=20) == 3
    lose(guard)
    assert told.get(timeout=20) == 3
    print("well")
    """,
        prefix,
    )
    assert (ended.out, ended.err, ended.code) == ("well", "", 0)


@pytest.mark.parametrize("slow", ["time.sleep(60)", "client.lock('b')", "while True: pass"])
def test_the_program_ends_while_it_runs(client: locker.Client, etcd: Etcd, slow: str) -> None:
    source = f"""
    import os, subprocess, sys, time
    import locker
    client = locker.connect(prefix=sys.argv[1], ttl=30)

    def stop(error):
        print("told", flush=True)
        {slow}

    guard = client.lock("a", on_lost=stop)
    kept = client.lock("c", on_lost=stop)
    print(guard.key, flush=True)
    sys.stdin.readline()
    """
    with client.lock("b") as held, Program(source, etcd.prefix) as program:
        etcd.delete(program.line())
        assert program.line() == "told"
        program.tell()
        ended = program.end()
        assert [key.name for key in etcd.keys()] == [held.key]
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert ended.seconds < 2


def test_the_loop_tells_it_in_asyncio(prefix: str, etcd: Etcd) -> None:
    request = contextvars.ContextVar[str]("request")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[tuple[locker.LostError, Any]] = asyncio.Queue()
        on_lost = lambda error: told.put_nowait((error, (request.get(), asyncio.get_running_loop())))  # noqa: E731
        async with aio.connect(prefix=prefix, ttl=3) as client:
            request.set("before")
            async with client.lock("kept", on_lost=on_lost):
                guard = await client.lock("a", on_lost=on_lost)
                tried = await client.try_lock("b", on_lost=on_lost)
                assert tried is not None
                request.set("after")
                for lost in (guard, tried):
                    etcd.delete(lost.key)
                    error, there = await asyncio.wait_for(told.get(), DEADLINE)
                    assert (type(error), error.loss) == (locker.LostError, "key_deleted")
                    assert there == ("before", loop)
            await asyncio.sleep(0.05)
            assert told.empty()

    asyncio.run(main())


def test_the_loop_handles_what_it_raises(prefix: str, etcd: Etcd) -> None:
    async def main() -> None:
        handled: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: handled.put_nowait(context))

        def fail(error: locker.LostError) -> None:
            raise ZeroDivisionError

        async with aio.connect(prefix=prefix, ttl=3) as client:
            guard = await client.lock("a", on_lost=fail)
            etcd.delete(guard.key)
            context = await asyncio.wait_for(handled.get(), DEADLINE)
            assert isinstance(context["exception"], ZeroDivisionError)
            later = await client.lock("c", on_lost=lambda error: asyncio.sleep(0))
            etcd.delete(later.key)
            context = await asyncio.wait_for(handled.get(), DEADLINE)
            assert "returned a coroutine" in str(context["exception"])
            with pytest.raises(TypeError, match="^on_lost: must be a function, not str$"):
                await client.lock("b", on_lost="stop")  # type: ignore[arg-type]

    asyncio.run(main())


def test_a_loop_that_is_closed_is_told_nothing(prefix: str, etcd: Etcd) -> None:
    async def lose() -> aio.Guard:
        client = await aio.connect(prefix=prefix, ttl=3)
        return await client.lock("a", on_lost=lambda error: os._exit(9))

    guard = asyncio.run(lose())
    etcd.delete(guard.key)
    assert isinstance(asyncio.run(asyncio.wait_for(guard.lost(), DEADLINE)), locker.LostError)


def test_a_thread_may_wait_for_a_loss(client: locker.Client, etcd: Etcd) -> None:
    guard, other = client.lock("a"), client.lock("b")
    reasons: Queue[locker.Error] = Queue()
    for one in (guard, other):
        threading.Thread(target=lambda one=one: reasons.put(one.lost()), daemon=True).start()
    etcd.delete(guard.key)
    assert isinstance(reasons.get(timeout=DEADLINE), locker.LostError)
    other.unlock()
    assert isinstance(reasons.get(timeout=DEADLINE), locker.CancelledError)
    assert isinstance(other.lost(), locker.CancelledError)
