"""Our Python binding, measured: locker_worker.py ENDPOINTS."""

import sys

from line import serve

import locker

with locker.connect(sys.argv[1]) as client:

    def once(name: str) -> None:
        client.lock(name).unlock()

    serve(once)
