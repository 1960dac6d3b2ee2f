"""Prints who holds a lock, now and each time it changes hands: watch.py NAME"""

import sys

import locker

if len(sys.argv) != 2:
    sys.exit("usage: watch.py NAME")

try:
    with locker.connect() as client, client.watch(sys.argv[1]) as watcher:
        for info in watcher:
            if info.held:
                print(f"{info.name} held by {info.value}, token {info.token}", flush=True)
            else:
                print(f"{info.name} free", flush=True)
except KeyboardInterrupt:
    pass  # Ctrl-C is how one ends it
