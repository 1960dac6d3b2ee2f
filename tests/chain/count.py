"""One of the counters of test_chain.py: count.py NAME TIMES COUNTER LOG"""

import sys
from pathlib import Path

import locker


def increment(path: Path) -> int:
    """Reads the number in the file, and writes the next one. Two at once would lose one of them."""
    n = int(path.read_text()) + 1
    path.write_text(f"{n}\n")
    return n


name, times, counter, log = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
with locker.connect() as client:
    for _ in range(times):
        with client.lock(name) as guard:
            n = increment(counter)
            with log.open("a") as file:
                file.write(f"Python {guard.token} {n}\n")
