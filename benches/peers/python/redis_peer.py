"""redis-py, for context: it asks no quorum and gives no token. redis_peer.py PORT."""

import sys

import redis
from line import serve

client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]))


def once(name: str) -> None:
    lock = client.lock(name, timeout=60)
    if not lock.acquire():
        sys.exit("the lock of one caller is busy")
    lock.release()


serve(once)
