"""locker.testing: a throw-away etcd, and pytest's fixtures for it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support import DEADLINE, until

import locker
from locker.testing import Etcd


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where etcds put their files. Nothing is left there."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield directory
    assert [path for path in directory.iterdir() if not path.name.startswith("pytest-of-")] == []


def connection(endpoint: str) -> socket.socket:
    """One that ends with its etcd."""
    url = urlsplit(endpoint)
    assert url.hostname and url.port
    return socket.create_connection((url.hostname, url.port), timeout=DEADLINE)


def has_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_an_etcd_is_ready_when_it_is_made_and_gone_when_it_is_stopped(temporary: Path) -> None:
    with Etcd() as etcd, Etcd() as other:
        assert etcd.endpoint != other.endpoint
        assert len(list(temporary.iterdir())) == 2
        with locker.connect(etcd.endpoint, timeout=1) as client, client.lock("a") as guard:
            assert locker.connect(other.endpoint).get("a").token == 0 < guard.token
        with connection(etcd.endpoint) as open_connection:
            etcd.stop()
            assert has_ended(open_connection)
        assert len(list(temporary.iterdir())) == 1
        etcd.stop()


def test_its_settings_are_its_own(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_DATA_DIR", "/nonexistent")
    monkeypatch.setenv("ETCD_LISTEN_CLIENT_URLS", "http://192.0.2.1:1")
    with Etcd() as etcd:
        locker.connect(etcd.endpoint).disconnect()


def test_a_child_of_fork_does_not_keep_it(temporary: Path) -> None:
    etcd = Etcd()
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of fork in a process with threads.
        child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)  # Until the parent closes its end, or ends.
        os._exit(0)
    os.close(read)
    etcd.stop()
    assert list(temporary.iterdir()) == []
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0


def program(directory: Path, text: str) -> str:
    path = directory / "etcd"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_no_etcd_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOCKER_ETCD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(locker.UnavailableError, match="^no etcd on the PATH(.|\n)*etcd-server\nor name .* in LOCKER_ETCD"):
        Etcd()
    for path in ("/nonexistent/etcd", str(tmp_path)):
        monkeypatch.setenv("LOCKER_ETCD", path)
        with pytest.raises(locker.UnavailableError, match=f"^LOCKER_ETCD={re.escape(path)}: no such program$"):
            Etcd()


def test_an_etcd_that_does_not_start_is_shown(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = program(tmp_path, "#!/bin/sh\necho this is why >&2\nexit 1\n")
    monkeypatch.setenv("LOCKER_ETCD", path)
    with pytest.raises(locker.UnavailableError, match=f"^{re.escape(path)} did not start:\nthis is why$"):
        Etcd()
    program(tmp_path, "#!/bin/sh\necho not yet\nexec sleep 1000\n")
    monkeypatch.setattr("locker.testing._etcd._PATIENCE", 0.3)
    with pytest.raises(locker.UnavailableError, match="was not ready after 0 s:\nnot yet$"):
        Etcd()


def test_a_port_that_somebody_took_meanwhile_is_no_failure(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = os.environ.get("LOCKER_ETCD") or "etcd"
    text = """\
    #!/bin/sh
    [ -e "$0.tried" ] && exec REAL "$@"
    : >"$0.tried"
    echo 'listen tcp 127.0.0.1:1: bind: address already in use' >&2
    exit 1
    """
    path = program(tmp_path, textwrap.dedent(text).replace("REAL", real))
    monkeypatch.setenv("LOCKER_ETCD", path)
    with Etcd() as etcd:
        locker.connect(etcd.endpoint).disconnect()
    assert Path(f"{path}.tried").exists()


CONFTEST = 'pytest_plugins = ["locker.testing"]\n'
WORK = """
import asyncio, os, subprocess, sys
import locker
from locker import aio

def work():
    "What is tested: it knows nothing of the test."
    with locker.lock("a", timeout=0, shared=True) as guard:
        return guard.key

async def work_aio():
    async with aio.lock("a", timeout=0, shared=True) as guard:
        return guard.key

def work_elsewhere():
    source = "import locker; print(locker.lock('a', timeout=0, shared=True).key)"
    return subprocess.run([sys.executable, "-c", source], check=True, stdout=subprocess.PIPE, text=True).stdout
"""
TESTS = """
import asyncio, os
from pathlib import Path
import pytest
import locker
from work import work, work_aio, work_elsewhere

@pytest.mark.parametrize("_", range(4))
def test_all_that_is_called_locks_here(locker_client, locker_prefix, locker_etcd, _):
    with Path("endpoints").open("a") as file:
        file.write(f"{os.environ.get('PYTEST_XDIST_WORKER')} {locker_etcd}\\n")
    assert locker.default_client() is locker_client
    for key in (work(), asyncio.run(work_aio()), work_elsewhere()):
        assert key.startswith(f"{locker_prefix}a/")
    guard = locker_client.lock("a")
    with pytest.raises(locker.TimeoutError):
        work()

def test_the_environment_is_as_before():
    assert os.environ["LOCKER_ENDPOINTS"] == "http://192.0.2.1:1"
    assert os.environ["LOCKER_CACERT"] == "/nonexistent.pem"

def test_one_that_fails(locker_client):
    guard = locker_client.lock("a")
    assert "a" == "b"
"""


def run_pytest(directory: Path, *arguments: str, **environment: str) -> str:
    """What it says; in an environment that tells of some other etcd."""
    with start_pytest(directory, *arguments, **environment) as process:
        try:
            return process.communicate(timeout=60)[0]
        finally:
            process.kill()


def start_pytest(directory: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    for name, text in {"conftest.py": CONFTEST, "work.py": WORK, "test_work.py": TESTS}.items():
        (directory / name).write_text(text)
    other = {"LOCKER_ENDPOINTS": "http://192.0.2.1:1", "LOCKER_CACERT": "/nonexistent.pem", "ETCDCTL_USER": "root"}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-rA", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory), **other, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_fixtures(temporary: Path, tmp_path: Path) -> None:
    said = run_pytest(tmp_path)
    assert "= 1 failed, 5 passed in" in said.splitlines()[-1], said
    assert len(set((tmp_path / "endpoints").read_text().splitlines())) == 1


def test_each_worker_of_xdist_has_an_etcd_of_its_own(temporary: Path, tmp_path: Path) -> None:
    said = run_pytest(tmp_path, "-n", "2", "--dist", "each", "--deselect", "test_work.py::test_one_that_fails")
    assert "10 passed" in said, said
    pairs = {tuple(line.split()) for line in (tmp_path / "endpoints").read_text().splitlines()}
    assert {worker for worker, _ in pairs} == {"gw0", "gw1"}
    assert len(pairs) == len({endpoint for _, endpoint in pairs}) == 2


def test_a_run_without_etcd_fails_and_says_why(tmp_path: Path) -> None:
    said = run_pytest(tmp_path, LOCKER_ETCD="/nonexistent/etcd")
    assert "1 passed, 5 errors" in said.splitlines()[-1], said
    assert "locker_etcd: LOCKER_ETCD=/nonexistent/etcd: no such program" in said
    assert "Traceback" not in said and "_etcd.py" not in said, said


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_etcd(temporary: Path, tmp_path: Path, end: signal.Signals) -> None:
    waiting = f"{CONFTEST}import pytest\n"
    (tmp_path / "test_waits.py").write_text(
        waiting + "def test_waits(locker_etcd):\n    print('at', locker_etcd, flush=True)\n    input()\n"
    )
    process = start_pytest(tmp_path, "-s", "test_waits.py")
    with process:
        try:
            assert process.stdout is not None
            while not (line := process.stdout.readline()).rpartition("at http")[1]:
                assert line
            with connection(line.split("at ")[1].strip()) as open_connection:
                process.send_signal(end)
                assert has_ended(open_connection)
            process.stdout.read()
        finally:
            process.kill()
    # After a kill nobody is left to wait for the end of the one who removes the files.
    until(lambda: not list(temporary.glob("locker-etcd-*")), "the files are removed")


def test_programs_need_no_pytest(tmp_path: Path) -> None:
    (tmp_path / "pytest.py").write_text("raise ImportError\n")
    source = "import locker, locker.aio, sys; assert not {'pytest', 'locker.testing'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", source], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.stderr, done.returncode) == ("", 0)
