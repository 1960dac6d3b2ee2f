"""After os.fork: the child says at once what it cannot use, may connect anew, and does its parent no harm."""

from __future__ import annotations

import pytest
from support import Etcd, row, run

PARENT = """
    import gc, multiprocessing, os, sys, time, warnings
    import locker

    warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of fork in a process with threads.
    PREFIX = sys.argv[1]

    def fork(child):
        "Run child() in a child that leaves as a program does, and return its exit code."
        pid = os.fork()
        if pid == 0:
            child()
            sys.exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def refused(call):
        start = time.monotonic()
        try:
            call()
        except locker.InvalidError as error:
            assert "inherited across fork" in str(error), error
        else:
            raise AssertionError("not refused")
        assert time.monotonic() - start < 0.05

    client = locker.connect(prefix=PREFIX, ttl=2)
    guard = client.lock("a")
    watcher = client.watch("a")
    assert next(watcher).token == guard.token
"""


def parent(source: str, prefix: str) -> None:
    ended = run(PARENT + source + "\n    print('well')\n", prefix)
    assert (ended.out, ended.err, ended.code) == ("well", "", 0)


def test_what_was_inherited_is_refused(etcd: Etcd, prefix: str) -> None:
    parent(
        """
    def child():
        for call in [
            lambda: client.lock("b"), lambda: client.try_lock("b"), lambda: client.get("a"),
            lambda: client.get("a", cached=True), lambda: client.watch("a"),
            lambda: client.disconnect(), lambda: client.__enter__(),
            lambda: guard.name, lambda: guard.token, lambda: guard.key, lambda: guard.state, lambda: guard.held,
            lambda: guard.remaining, lambda: guard.info(), lambda: guard.check(), lambda: guard.unlock(),
            lambda: guard.__enter__(), lambda: guard.__exit__(None, None, None),
            lambda: next(watcher), lambda: watcher.unwatch(), lambda: watcher.__enter__(),
        ]:
            refused(call)
        assert repr(guard) == "<locker.Guard, inherited across fork>"
        repr(client), repr(watcher)

    assert fork(child) == 0
    guard.unlock()
    """,
        prefix,
    )


def test_a_child_connects_anew(etcd: Etcd, prefix: str) -> None:
    parent(
        """
    def child():
        with locker.connect(prefix=PREFIX, ttl=2) as mine:
            assert mine.get("a").token == guard_token
            assert mine.try_lock("a") is None
            with mine.lock("b") as b:
                b.check()
                assert fork(grandchild) == 0

    def child_that_leaves_it_to_the_exit():
        child()
        global mine
        mine = locker.connect(prefix=PREFIX, ttl=60).lock("c")

    def grandchild():
        with locker.connect(prefix=PREFIX, ttl=2) as mine:
            assert mine.try_lock("b") is None

    guard_token = guard.token
    assert fork(child_that_leaves_it_to_the_exit) == 0
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
    guard.unlock()
    """,
        prefix,
    )


def test_the_parent_is_unhurt(etcd: Etcd, prefix: str) -> None:
    parent(
        """
    def child():
        global client, guard, watcher
        del client, guard, watcher
        gc.collect()

    for _ in range(20):
        assert fork(child) == 0
        assert fork(lambda: os._exit(4)) == 4
        guard.check()
        assert client.get("a").token == guard.token

    # The lease goes on being renewed, and so does the watch.
    end = time.monotonic() + 4
    while time.monotonic() < end:
        guard.check()
        time.sleep(0.05)
    guard.unlock()
    assert not next(watcher).held
    """,
        prefix,
    )


def test_many_forks(etcd: Etcd, prefix: str) -> None:
    with row(29, "forks in Python", 1000) as forks:
        parent(
            f"""
    def child():
        for call in [lambda: client.lock("b"), lambda: guard.held, guard.unlock, client.disconnect]:
            refused(call)

    def child_that_leaves_at_once():
        child()
        os._exit(0)

    token = guard.token
    for i in range({forks.trials}):
        assert fork(child_that_leaves_at_once if i % 2 else child) == 0
        guard.check()
        assert client.get("a").token == guard.token == token
    guard.unlock()
    """,
            prefix,
        )
        forks.figure = "hold survives each, each call of a child refused within 50 ms"


def test_forks_in_the_midst_of_work(etcd: Etcd, prefix: str) -> None:
    """The child gets mutexes as they are in that moment, held by threads that it does not have."""
    parent(
        """
    import threading

    working = True

    def work(name):
        while working:
            with client.lock(name), client.watch(name) as watcher:
                next(watcher)

    def child():
        global client, guard, watcher
        refused(lambda: guard.held)
        refused(lambda: client.get("a"))
        del client, guard, watcher
        gc.collect()
        with locker.connect(prefix=PREFIX, ttl=2) as mine:
            assert mine.try_lock("a") is None
        os._exit(0)

    threads = [threading.Thread(target=work, args=[name]) for name in ["b", "b", "c"]]
    for thread in threads:
        thread.start()
    for _ in range(100):
        assert fork(child) == 0
    working = False
    for thread in threads:
        thread.join()
    guard.unlock()
    """,
        prefix,
    )


def test_asyncio_in_a_child(etcd: Etcd, prefix: str) -> None:
    parent(
        """
    import asyncio
    from locker import aio

    async def begin():
        global client, guard
        client = await aio.connect(prefix=PREFIX, ttl=2)
        guard = await client.lock("b")

    async def go_on():
        for ask in [client.lock("c"), client.try_lock("c"), client.get("c"), guard.unlock(), guard.lost()]:
            try:
                await ask
            except locker.InvalidError as error:
                assert "inherited across fork" in str(error), error
            else:
                raise AssertionError("not refused")
        async with aio.connect(prefix=PREFIX, ttl=2) as mine:
            assert await mine.try_lock("b") is None

    asyncio.run(begin())
    assert fork(lambda: asyncio.run(go_on())) == 0
    guard.check()
    asyncio.run(guard.unlock())
    """,
        prefix,
    )


@pytest.mark.parametrize("leave, code", [("sys.exit(3)", 3), ("raise ValueError('mine')", 1)])
def test_a_child_that_leaves_by_an_error_keeps_its_error(etcd: Etcd, prefix: str, leave: str, code: int) -> None:
    ended = run(
        PARENT
        + f"""
    with client:
        with guard:
            pid = os.fork()
            if pid == 0:
                {leave}
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == {code}
            guard.check()
    print("well")
    """,
        prefix,
    )
    assert (ended.out, ended.code) == ("well", 0)
    assert ("ValueError: mine" in ended.err) == ("ValueError" in leave)
