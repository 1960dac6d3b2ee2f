"""The programs that newcomers read do what they say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import DEADLINE, Etcd, run

import locker

BINDING = Path(__file__).parent.parent
EXAMPLES = BINDING.parent.parent / "examples"


@pytest.fixture
def busy() -> locker.Client:
    """A client for the prefix that the examples use."""
    return locker.connect()


def example(name: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_lock_and_watch(busy: locker.Client) -> None:
    """watch.py sees lock.py come and go, whatever else uses that name just now."""
    with example("watch.py", "db-migrate") as watch:
        try:
            assert watch.stdout is not None
            assert watch.stdout.readline().startswith("db-migrate ")
            with example("lock.py") as lock:
                out, err = lock.communicate(timeout=60)
            assert (lock.returncode, err) == (0, "")
            token = re.fullmatch(r"token (\d+)\n", out)
            assert token
            while f"held by example.py, token {token[1]}" not in (line := watch.stdout.readline()):
                assert line
            watch.send_signal(signal.SIGINT)
            assert watch.communicate(timeout=DEADLINE)[1] == ""
            assert watch.returncode == 0
        finally:
            watch.kill()


def test_lock_says_who_is_in_its_way(busy: locker.Client) -> None:
    impatient, count = re.subn(r"timeout=\d+", "timeout=0.5", (EXAMPLES / "lock.py").read_text())
    assert count == 1
    with busy, busy.lock("db-migrate"):
        ended = run(impatient)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("busy: ") and f"pid {os.getpid()} (pytest)" in ended.err


def test_watch_needs_a_name() -> None:
    with example("watch.py") as watch:
        assert watch.communicate(timeout=DEADLINE)[1] == "usage: watch.py NAME\n"
        assert watch.returncode == 1


def test_a_semaphore_lets_three_run_whatever_program_they_are_of() -> None:
    """Two of them write into one pipe, in which their lines stand in the order in which they were written."""
    read, write = os.pipe()
    command = [sys.executable, str(EXAMPLES / "semaphore.py")]
    env = {**os.environ, "PYTHONUNBUFFERED": ""}  # Else the end of a line is written by itself.
    with open(read) as said:
        both = [subprocess.Popen(command, env=env, stdout=write, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        os.close(write)
        lines = said.read().splitlines()
    for one in both:
        assert (one.communicate(timeout=DEADLINE)[1], one.returncode) == ("", 0)
    running = most = 0
    for line in lines:
        running += {"begins": 1, "ends": -1}.get(line.split()[-1], 0)
        most = max(most, running)
        assert running == 0 or line != "nobody else runs"
    assert (len(lines), running, most) == (2 * 21, 0, 3)


def test_the_readme_is_true(etcd: Etcd) -> None:
    """Its pieces of Python run, one after the other, as one program."""
    pieces = re.findall(r"```python\n(.*?)```", (BINDING / "README.md").read_text(), re.DOTALL)
    assert len(pieces) >= 3
    program = "def migrate(fence: int) -> None: ...\n" + "\n".join(pieces)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    typed = subprocess.run([sys.executable, "-m", "mypy", "--strict", "-c", program], capture_output=True, text=True)
    assert typed.returncode == 0, typed.stdout
