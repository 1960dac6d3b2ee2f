"""The whole chain: four processes in four languages count to 1000 in one file, under one lock.

Each reads the number in the file, adds one and writes it back, with nothing but the lock between them.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import locker
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIBRARY = ROOT / "target/debug"
NAME = f"chain-{os.getpid()}"
TIMES = 250
PATIENCE = 300  # seconds that 1000 increments may take on a slow machine


@pytest.fixture(scope="session")
def counters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str | Path]]:
    """The four programs, built."""
    out = tmp_path_factory.mktemp("bin")
    link = [f"-L{LIBRARY}", "-llocker", f"-Wl,-rpath,{LIBRARY}"]
    c = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", HERE / "count.c", f"-I{ROOT}/include", *link, "-o", out / "c"]
    subprocess.run(c, check=True)
    go = ["go", "build", "-tags", "locker_tree", "-o", out / "go", "."]
    subprocess.run(go, cwd=HERE / "go", check=True)
    return {
        "C": [out / "c"],
        "Go": [out / "go"],
        "Python": [sys.executable, HERE / "count.py"],
        "Rust": [LIBRARY / "examples/count"],
    }


def etcdctl(*arguments: str) -> list[str]:
    output = subprocess.run(["etcdctl", *arguments], check=True, capture_output=True, text=True).stdout
    return [line for line in output.splitlines() if line]


def await_waiters(client: locker.Client, count: int) -> None:
    """There is no event for the length of a queue, so it is looked at."""
    end = time.monotonic() + PATIENCE
    while client.get(NAME).waiters < count:
        assert time.monotonic() < end, "they do not come into the queue"
        time.sleep(0.02)


def count_together(counters: dict[str, list[str | Path]], counter: Path, log: Path) -> None:
    """Runs them all at once: they begin when the lock is let go that all of them wait for."""
    arguments = [NAME, str(TIMES), str(counter), str(log)]
    with locker.connect() as client:
        gate = client.lock(NAME)
        running = [subprocess.Popen([*command, *arguments]) for command in counters.values()]
        try:
            await_waiters(client, len(running))
            gate.unlock()
            assert [process.wait(PATIENCE) for process in running] == [0] * len(running)
        finally:
            for process in running:
                process.kill()
                process.wait()


def test_four_languages_count_to_1000(counters: dict[str, list[str | Path]], tmp_path: Path) -> None:
    counter, log = tmp_path / "counter", tmp_path / "log"
    counter.write_text("0\n")
    log.touch()
    leases = etcdctl("lease", "list")

    count_together(counters, counter, log)

    lines = [line.split() for line in log.read_text().splitlines()]
    who, tokens, numbers = [l[0] for l in lines], [int(l[1]) for l in lines], [int(l[2]) for l in lines]
    total = TIMES * len(counters)
    assert int(counter.read_text()) == total
    assert numbers == list(range(1, total + 1))
    assert all(earlier < later for earlier, later in zip(tokens, tokens[1:])), "tokens rise"
    changes = sum(a != b for a, b in zip(who, who[1:]))
    print(f"{total} increments, {changes} changes of process")
    assert changes >= 300
    assert {name: who.count(name) for name in counters} == dict.fromkeys(counters, TIMES)

    assert etcdctl("get", "--prefix", "--keys-only", f"/locker/{NAME}/") == []
    assert len(etcdctl("lease", "list")) == len(leases), "no lease is left"
