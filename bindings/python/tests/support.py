"""Looking into etcd, running programs, and waiting until something is so."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

DEADLINE = 10.0
"""Seconds after which something that must happen has not happened."""


rows: list[str] = []
"""What the rows of the table of faults have to say, for the end of the run."""


@dataclass
class Row:
    trials: int
    figure: str = ""


@contextmanager
def row(number: int, name: str, asked: int) -> Iterator[Row]:
    """A row of the table of faults: LOCKER_TRIALS (a tenth by default) of the trials that it asks for. How it went is told at
    the end of the run, and in the file that LOCKER_REPORT names, as `tests/c/row.h` does."""
    row = Row(max(1, int(asked * float(os.environ.get("LOCKER_TRIALS") or 0.1))))
    verdict = "FAILED"
    try:
        yield row
        verdict = "ok"
    finally:
        suffix = "" if verdict == "ok" else f": {verdict}"
        rows.append(f"row {number}: {name}: {row.trials} of {asked} trials, {row.figure}{suffix}")
        if report := os.environ.get("LOCKER_REPORT"):
            with open(report, "a", buffering=1) as file:
                file.write("\t".join(map(str, [number, name, row.trials, asked, row.figure, verdict])) + "\n")


def until(true: Callable[[], Any], what: str, limit: float = DEADLINE) -> Any:
    """Wait until `true()` is, and return it. For what gives no event to wait for: the inside of etcd."""
    end = time.monotonic() + limit
    while not (result := true()):
        assert time.monotonic() < end, f"not within {limit} s: {what}"
        time.sleep(0.005)
    return result


@dataclass(frozen=True)
class Key:
    name: str
    value: str
    lease: int


class Etcd:
    """etcd as `etcdctl` shows it, under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def ctl(self, *arguments: str) -> dict[str, Any]:
        env = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": os.environ["LOCKER_ENDPOINTS"]}
        command = ["etcdctl", *arguments, "-w", "json"]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, timeout=DEADLINE)
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
        return answer

    def keys(self) -> list[Key]:
        """The keys of locks, oldest first; the client's own bookkeeping (`%!`) lives and dies with its lease."""
        found = self.ctl("get", "--prefix", self.prefix, "--sort-by=CREATE").get("kvs", [])
        keys = [Key(_text(kv["key"]), _text(kv.get("value", "")), kv.get("lease", 0)) for kv in found]
        return [key for key in keys if not key.name.startswith(f"{self.prefix}%!/")]

    def wait_for_keys(self, count: int) -> list[Key]:
        """Wait until there are so many keys, and return them."""
        until(lambda: len(self.keys()) == count, f"{count} keys under {self.prefix}")
        return self.keys()

    def delete(self, key: str) -> None:
        assert self.ctl("del", key)["deleted"] == 1

    def put(self, key: str, value: str) -> None:
        self.ctl("put", key, value)

    def leases(self) -> set[int]:
        """All of this etcd, also those of others."""
        return {lease["id"] for lease in self.ctl("lease", "list").get("leases") or []}

    def lease_exists(self, lease: int) -> bool:
        return bool(self.ctl("lease", "timetolive", f"{lease:x}")["ttl"] != -1)


def _text(base64_text: str) -> str:
    return base64.b64decode(base64_text).decode()


class Program:
    """A Python program of a test, in a process of its own. Its end is the end of the `with` block."""

    def __init__(self, source: str, *arguments: str) -> None:
        source = textwrap.dedent(source)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, "-c", source, *arguments], text=True, **pipes)  # type: ignore[call-overload]

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        """The next line that it prints."""
        return str(self.process.stdout.readline()).strip()

    def tell(self) -> None:
        """Let it go on from where it reads a line."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, limit: float = DEADLINE) -> Ended:
        """Wait for its end."""
        start = time.monotonic()
        out, err = self.process.communicate(timeout=limit)
        return Ended(self.process.returncode, out.strip(), err.strip(), time.monotonic() - start)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    seconds: float
    """From the wait for it to its end."""


def run(source: str, *arguments: str) -> Ended:
    """Run a program to its end."""
    with Program(source, *arguments) as program:
        return program.end(limit=60)


@contextmanager
def etcdctl_lock(key: str) -> Iterator[subprocess.Popen[str]]:
    """A real one, which is told to go at the end."""
    env = {**os.environ, "ETCDCTL_ENDPOINTS": os.environ["LOCKER_ENDPOINTS"]}
    with subprocess.Popen(["etcdctl", "lock", key], env=env, stdout=subprocess.PIPE, text=True) as ctl:
        try:
            yield ctl
        finally:
            ctl.terminate()
