"""Python's etcd3, measured: etcd3_peer.py ENDPOINTS."""

import sys
from urllib.parse import urlsplit

import etcd3
from line import serve

address = urlsplit(sys.argv[1])
client = etcd3.client(host=address.hostname, port=address.port)


def once(name: str) -> None:
    # It leaves the lease of each lock behind: let none end while others are measured.
    lock = client.lock(name, ttl=3600)
    if not lock.acquire():
        sys.exit("the lock of one caller is busy")
    lock.release()


serve(once)
