"""What the programs here have in common: a line "loop NAME COUNT" is a command, and a line of JSON its answer."""

import json
import sys
import time
from collections.abc import Callable

Answer = dict[str, float]


def timed(work: Callable[[], object]) -> Answer:
    """How long it takes."""
    begun, used = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - used}


def serve(once: Callable[[str], object], **others: Callable[[str, int], Answer]) -> None:
    """Calls `once` with the name, so often, for each command; or one of the others, with the name and the number."""

    def loop(name: str, count: int) -> Answer:
        def work() -> None:
            for _ in range(count):
                once(name)

        return timed(work)

    verbs = {"loop": loop, **others}
    for line in sys.stdin:
        verb, name, count = line.split()
        if verb not in verbs:
            sys.exit(f"no such command: {line}")
        print(json.dumps(verbs[verb](name, int(count))), flush=True)
