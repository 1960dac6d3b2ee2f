"""Our Python binding, measured: locker_worker.py ENDPOINTS."""

import sys

from line import Answer, serve, timed

import locker

with locker.connect(sys.argv[1]) as client:

    def once(name: str) -> None:
        client.lock(name).unlock()

    def cached(name: str, count: int) -> Answer:
        """So often, who holds a lock that is watched, from memory."""

        def work() -> None:
            for _ in range(count):
                client.get(name, cached=True)

        with client.lock(name), client.watch(name) as watcher:
            next(watcher)
            return timed(work)

    serve(once, cached=cached)
