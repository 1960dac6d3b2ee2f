"""The end of a program that does not clean up: no hang, no noise, and as little as can be left in etcd."""

from __future__ import annotations

import os
import textwrap

import pytest
from conftest import Connect
from proxy import Proxy
from support import Ended, Etcd, Program, row

import locker

PROGRAM = """
    import locker, os, sys, threading, time
    client = locker.connect(sys.argv[2] or None, prefix=sys.argv[1], ttl=30)
    guard = client.lock("a")

    def wait(waiter):
        with waiter.lock("a"):
            print("held by a thread", flush=True)

    def threads_that_wait(daemon=True):
        # Of another client than the holder's: the first stands in etcd's queue, the others behind it in the client's line.
        waiter = locker.connect(sys.argv[2] or None, prefix=sys.argv[1], ttl=30)
        threads = [threading.Thread(target=wait, args=[waiter], daemon=daemon) for _ in range(3)]
        for thread in threads:
            thread.start()
        # Until all are in the call. No event tells that: whoever stands in line is not to be seen from outside.
        while any(sys._current_frames()[thread.ident].f_code is not wait.__code__ for thread in threads):
            time.sleep(0.001)

    def go():
        print("go", flush=True)
        sys.stdin.readline()
"""


def end(source: str, etcd: Etcd, keys: int = 1) -> Ended:
    """Run the program until it says "go" and has so many keys, and see it end."""
    with Program(PROGRAM + source, etcd.prefix, "") as program:
        assert program.line() == "go"
        leases = {key.lease for key in etcd.wait_for_keys(keys)}
        program.tell()
        ended = program.end()
    assert ended.seconds < 2
    assert not any(etcd.lease_exists(lease) for lease in leases)
    return ended


def test_a_lock_is_held(etcd: Etcd) -> None:
    assert end("    go()", etcd).err == ""


def test_threads_wait(etcd: Etcd) -> None:
    """Daemon threads, that is: others keep a Python program alive."""
    ended = end("    threads_that_wait()\n    go()", etcd, keys=2)
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_a_watcher_waits(etcd: Etcd) -> None:
    source = """
    watcher = client.watch("a")
    next(watcher)
    threading.Thread(target=next, args=[watcher], daemon=True).start()
    go()
    """
    ended = end(source, etcd)
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_other_threads_keep_the_program_alive(etcd: Etcd) -> None:
    source = """
    threads_that_wait(daemon=False)
    go()
    guard.unlock()
    """
    ended = end(source, etcd, keys=2)
    assert (ended.code, ended.out.split("\n"), ended.err) == (0, ["held by a thread"] * 3, "")


def test_objects_die_just_before_the_end(etcd: Etcd) -> None:
    assert end("    go()\n    del guard, client", etcd).err == ""


def test_objects_that_use_locker_die_at_the_very_end(etcd: Etcd) -> None:
    """What locker raises then is still what it always raises."""
    source = """
    class Late:
        def __init__(self):
            self.client, self.guard = client, guard

        def __del__(self, Error=locker.Error, write=os.write):
            for call in (self.guard.unlock, self.guard.check, lambda: self.client.lock("")):
                try:
                    call()
                except Error as error:
                    write(1, f"{type(error).__module__}.{type(error).__name__} ".encode())

    late = Late()
    del client, guard
    go()
    """
    ended = end(source, etcd)
    assert (ended.out.split(), ended.err) == (["locker.CancelledError"] * 2 + ["locker.InvalidError"], "")


def test_an_error_ends_the_program(etcd: Etcd) -> None:
    ended = end("    go()\n    1 / 0", etcd)
    assert ended.code == 1 and ended.err.endswith("ZeroDivisionError: division by zero")


def test_an_error_ends_the_program_in_with(etcd: Etcd) -> None:
    ended = end("    with client, guard:\n        go()\n        sys.exit(3)", etcd)
    assert (ended.code, ended.err) == (3, "")


def test_the_handlers_of_the_program_come_first(etcd: Etcd) -> None:
    source = """
    import atexit
    atexit.register(lambda: (guard.unlock(), print(client.get("a").held)))
    go()
    """
    ended = end(source, etcd)
    assert (ended.code, ended.out, ended.err) == (0, "False", "")


def test_a_handler_that_waits_for_daemon_threads_sees_their_end(etcd: Etcd) -> None:
    """It was registered before locker's own, and so comes after it."""
    source = """
    import atexit, threading
    threads, said = [], []
    atexit.register(lambda: ([thread.join() for thread in threads], print(*sorted(said))))
    """
    program = textwrap.dedent(source) + textwrap.dedent(PROGRAM) + textwrap.dedent("""
    waiter = locker.connect(prefix=sys.argv[1], ttl=30)
    seen = threading.Semaphore(0)

    def lock():
        try:
            waiter.lock("a")
        except locker.CancelledError:
            said.append("cancelled")

    def watch():
        for _ in waiter.watch("a"):
            seen.release()
        said.append("ended")

    threads += [threading.Thread(target=target, daemon=True) for target in (lock, watch)]
    for thread in threads:
        thread.start()
    seen.acquire()
    go()
    """)
    with Program(program, etcd.prefix, "") as running:
        assert running.line() == "go"
        etcd.wait_for_keys(2)
        running.tell()
        ended = running.end()
    assert (ended.code, ended.out, ended.err) == (0, "cancelled ended", "")


def test_etcd_is_out_of_reach(connect: Connect, etcd: Etcd) -> None:
    source = """
    threads_that_wait()
    go()
    """
    with Proxy() as proxy, Program(PROGRAM + source, etcd.prefix, proxy.endpoint) as program:
        assert program.line() == "go"
        leases = [key.lease for key in etcd.wait_for_keys(2)]
        proxy.swallow()
        program.tell()
        ended = program.end()
    assert (ended.code, ended.err) == (0, "")
    assert ended.seconds < 2
    for lease in leases:
        etcd.ctl("lease", "revoke", f"{lease:x}")


def test_a_program_that_is_killed_hangs_nobody(connect: Connect, etcd: Etcd) -> None:
    with Program(PROGRAM.replace("ttl=30", "ttl=2") + "    go()\n    os._exit(5)", etcd.prefix, "") as program:
        assert program.line() == "go"
        client = connect()
        program.tell()
        assert program.end().code == 5
        client.lock("a", timeout=10).unlock()


IN_FLIGHT = [
    "threads_that_wait()",
    "threading.Thread(target=lambda: [client.lock('b').unlock() for _ in range(10**6)], daemon=True).start()",
    "threading.Thread(target=lambda: list(client.watch('a')), daemon=True).start()",
    """
    import asyncio
    from locker import aio

    async def main():
        client = await aio.connect(sys.argv[2] or None, prefix=sys.argv[1], ttl=30)
        for _ in range(5):
            asyncio.create_task(client.lock("a"))
            await asyncio.sleep(0)
    asyncio.run(main())
    """,
]


def test_exits_in_the_midst_of_work(etcd: Etcd) -> None:
    seconds = []
    with row(31, "exits of Python with holds, threads and tasks", 500) as exits:
        for i in range(exits.trials):
            source = textwrap.dedent(PROGRAM) + textwrap.dedent(IN_FLIGHT[i % len(IN_FLIGHT)])
            with Program(source + "\nprint('end', flush=True)", etcd.prefix, "") as program:
                assert program.line() == "end"
                ended = program.end()
            assert (ended.code, ended.out, ended.err) == (0, "", "")
            seconds.append(ended.seconds)
        late = sum(s > 0.5 for s in seconds)
        assert late <= exits.trials // 10
        exits.figure = f"exit code 0, slowest {max(seconds) * 1000:.0f} ms, {late} over 500 ms"


def test_a_subinterpreter_is_refused() -> None:
    source = """
    import locker
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters

    code = "try: import locker\\nexcept ImportError as error: print(error)"
    failed = interpreters.run_string(interpreters.create(), code)
    assert not failed, failed
    """
    with Program(source) as program:
        ended = program.end()
    assert (ended.code, ended.err) == (0, "")
    assert "interpreter" in ended.out


def test_importing_makes_no_thread() -> None:
    source = """
    import locker, os
    assert len(os.listdir("/proc/self/task")) == 1
    """
    with Program(source) as program:
        ended = program.end()
        assert (ended.code, ended.err) == (0, "")
