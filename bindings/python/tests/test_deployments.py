"""Ways in which Python programs come to have many processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import DEADLINE, Etcd, until


COUNT = """
import os
from pathlib import Path

def count(file):
    "Not safe without a lock."
    seen = int(Path(file).read_text())
    for _ in range(1000):
        pass
    Path(file).write_text(str(seen + 1))
"""


def environment(prefix: str) -> dict[str, str]:
    return {**os.environ, "LOCKER_PREFIX": prefix, "LOCKER_TTL": "30"}


@pytest.fixture
def no_lease_stays(etcd: Etcd) -> Iterator[None]:
    before = etcd.leases()
    yield
    until(lambda: etcd.leases() <= before, "no lease is left behind")


APP = (
    COUNT
    + """
import locker

inherited = locker.connect()  # In gunicorn's master: the workers are forked from it.
held = inherited.lock("master")
locker.get("a")

def app(environ, start_response):
    status, text = "200 OK", f"{os.getpid()}"
    if environ["PATH_INFO"] == "/inherited":
        try:
            held.check()
        except locker.InvalidError as error:
            status, text = "503 Inherited", str(error)
    elif environ["PATH_INFO"] == "/kept":
        global kept
        kept = locker.lock(f"kept/{os.getpid()}")
    else:
        with locker.lock("a", timeout=30):
            count(environ["QUERY_STRING"])
    start_response(status, [("Content-Type", "text/plain")])
    return [text.encode()]
"""
)


@contextmanager
def gunicorn(directory: Path, prefix: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # Gunicorn is handed a socket that listens already.
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-m", "gunicorn", "app:app", "--bind", f"fd://{listener.fileno()}", *options]
        master = subprocess.Popen(
            command,
            cwd=directory,
            env=environment(prefix),
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
    with master:
        try:
            yield master, url
        finally:
            master.kill()


def ask(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
        return text


@pytest.mark.parametrize(
    "options",
    [["--preload"], [], ["--preload", "--worker-class", "gthread", "--threads", "4"], ["--worker-class", "gevent"]],
    ids=" ".join,
)
def test_gunicorn(etcd: Etcd, prefix: str, tmp_path: Path, no_lease_stays: None, options: list[str]) -> None:
    """With and without an app that its master has loaded, and connected, before it forks its workers."""
    (tmp_path / "app.py").write_text(APP if "--preload" in options else APP.replace("held = ", "held = 0 and "))
    (tmp_path / "count").write_text("0")
    with gunicorn(tmp_path, prefix, "--workers", "3", *options) as (master, url):
        with ThreadPoolExecutor(8) as pool:
            workers = set(pool.map(ask, [f"{url}/?{tmp_path / 'count'}"] * 60))
        assert (tmp_path / "count").read_text() == "60"
        assert str(master.pid) not in workers and 1 <= len(workers) <= 3
        ask(f"{url}/kept")
        if "--preload" in options:
            with pytest.raises(urllib.error.HTTPError, match="Inherited"):
                ask(f"{url}/inherited")
            assert any(key.name.startswith(f"{prefix}master/") for key in etcd.keys())
        master.send_signal(signal.SIGTERM)
        _, log = master.communicate(timeout=DEADLINE)
        assert master.returncode == 0
        assert "Traceback" not in log and "Exception ignored" not in log, log
    assert etcd.keys() == []


def test_pytest_xdist(etcd: Etcd, prefix: str, tmp_path: Path, no_lease_stays: None) -> None:
    (tmp_path / "count").write_text("0")
    (tmp_path / "test_counts.py").write_text(
        COUNT
        + textwrap.dedent("""
        import pytest
        import locker

        @pytest.fixture(scope="session")
        def client():
            with locker.connect(prefix=os.environ["LOCKER_PREFIX"]) as client:
                yield client

        @pytest.mark.parametrize("_", range(30))
        def test_counts(client, _):
            with client.lock("a", timeout=30):
                count("count")

        @pytest.mark.parametrize("_", range(30))
        def test_counts_in_one_line(_):
            with locker.lock("a", timeout=30):
                count("count")
        """)
    )
    command = [sys.executable, "-m", "pytest", "-n", "3", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(prefix), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0 and "60 passed" in done.stdout, done.stdout
    assert (tmp_path / "count").read_text() == "60"
    assert etcd.keys() == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(etcd: Etcd, prefix: str, tmp_path: Path, no_lease_stays: None, method: str) -> None:
    (tmp_path / "count").write_text("0")
    (tmp_path / "program.py").write_text(
        COUNT
        + textwrap.dedent("""
        import multiprocessing, sys, warnings
        import locker

        def work(number):
            with locker.lock("a", timeout=30) as guard:
                count("count")
                return guard.token

        def busy(_):
            locker.lock("held", timeout=0)

        if __name__ == "__main__":
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of fork in a process with threads.
            with locker.lock("held"):  # So there is a client to be inherited.
                with multiprocessing.get_context(sys.argv[1]).Pool(3) as pool:
                    tokens = pool.map(work, range(30), chunksize=1)
                    assert len(set(tokens)) == 30
                    try:
                        pool.map(busy, [0])
                    except locker.TimeoutError as error:  # It was pickled on its way.
                        assert error.holder.pid == os.getpid(), error.holder
                    else:
                        raise AssertionError
                    pool.close()
                    pool.join()
            print("well")
        """)
    )
    done = subprocess.run(
        [sys.executable, "program.py", method],
        cwd=tmp_path,
        env=environment(prefix) | {"LOCKER_TTL": "2"},  # Children of multiprocessing run no exit handlers in older Pythons.
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("well\n", "", 0)
    assert (tmp_path / "count").read_text() == "30"


def test_uvloop(etcd: Etcd, prefix: str) -> None:
    uvloop = pytest.importorskip("uvloop")
    source = """
    import asyncio, sys, uvloop
    import locker
    from locker import aio

    async def main():
        async with aio.connect(prefix=sys.argv[1], ttl=3) as client:
            async with client.lock("a"):
                waiting = [asyncio.create_task(client.lock("a", timeout=0.2)) for _ in range(20)]
                assert all(isinstance(r, locker.TimeoutError) for r in await asyncio.gather(*waiting, return_exceptions=True))
            for limit in [0.001, 0.005, 0.02] * 20:
                try:
                    async with await asyncio.wait_for(client.lock("a"), limit):
                        pass
                except asyncio.TimeoutError:
                    pass
            told = asyncio.get_running_loop().create_future()
            guard = await client.lock("a", on_lost=told.set_result)
            process = await asyncio.create_subprocess_exec("etcdctl", "del", guard.key, stdout=-3)
            await process.wait()
            assert isinstance(await asyncio.wait_for(told, 10), locker.LostError)
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")

    uvloop.install() if not hasattr(asyncio, "Runner") else None
    if hasattr(asyncio, "Runner"):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    else:
        asyncio.run(main())
    print("well")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), prefix], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("well\n", "", 0)


def test_trio_is_told_that_it_is_not_supported(prefix: str) -> None:
    trio = pytest.importorskip("trio")
    from locker import aio

    async def main() -> None:
        async with aio.connect(prefix=prefix):
            raise AssertionError

    with pytest.raises(RuntimeError, match="^locker.aio needs a running event loop of asyncio"):
        trio.run(main)


def test_gevent(etcd: Etcd, prefix: str) -> None:
    """Locks work as in any program: what waits, waits with all greenlets. What is told is told by real threads."""
    source = """
    import gevent.monkey
    gevent.monkey.patch_all()
    import logging, os, subprocess, sys, threading
    import gevent
    import locker

    lines = []
    class Handler(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())
    logging.getLogger("locker").addHandler(Handler())
    logging.getLogger("locker").setLevel(logging.DEBUG)

    def work():
        with locker.connect(prefix=sys.argv[1], ttl=3) as client:
            for _ in range(10):
                with client.lock("a", timeout=5):
                    pass

    gevent.joinall([gevent.spawn(work) for _ in range(4)], raise_error=True)
    told = []
    client = locker.connect(prefix=sys.argv[1], ttl=3)
    guard = client.lock("b", on_lost=told.append)
    subprocess.run(["etcdctl", "del", guard.key], stdout=subprocess.DEVNULL)
    with gevent.Timeout(10):
        while not told or not any("lease granted" in line for line in lines):
            gevent.sleep(0.01)
    print("well")
    """
    pytest.importorskip("gevent")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), prefix], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("well\n", "", 0)
