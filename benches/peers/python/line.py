"""What the programs here have in common: a line "loop NAME COUNT" is a command, and a line of JSON its answer."""

import json
import sys
import time
from collections.abc import Callable


def serve(once: Callable[[str], object]) -> None:
    """Calls `once` with the name, so often, for each command."""
    for line in sys.stdin:
        verb, name, count = line.split()
        if verb != "loop":
            sys.exit(f"no such command: {line}")
        begun, used = time.perf_counter(), time.process_time()
        for _ in range(int(count)):
            once(name)
        answer = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - used}
        print(json.dumps(answer), flush=True)
