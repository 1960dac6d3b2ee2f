"""What the tests share: a real etcd, a look into it, and a check that nothing stays behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest
from support import Etcd, rows

import locker
import locker.testing
from locker import aio

_count = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    if not os.environ.get("LOCKER_ENDPOINTS"):  # As they are under `locker dev --`, which other suites share.
        etcd = locker.testing.Etcd()
        config.add_cleanup(etcd.stop)
        os.environ.update(LOCKER_ENDPOINTS=etcd.endpoint, ETCDCTL_ENDPOINTS=etcd.endpoint, ETCDCTL_API="3")
    # What else the caller's environment says of some etcd.
    for variable in ("PREFIX", "TTL", "TIMEOUT", "USER", "PASSWORD", "PASSWORD_FILE", "CACERT", "CERT", "CERT_KEY"):
        os.environ.pop(f"LOCKER_{variable}", None)
        os.environ.pop(f"ETCDCTL_{variable}", None)
    # A shell that starts a command in the background has it ignore Ctrl-C, and all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for row in rows:
        terminalreporter.write_line(row)


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test uses, nor another run of this one."""
    return f"/t/{os.getpid()}-{next(_count)}/"


@pytest.fixture
def etcd(prefix: str) -> Iterator[Etcd]:
    """etcd as it is, seen past locker. Every test ends with nothing under its prefix."""
    etcd = Etcd(prefix)
    yield etcd
    etcd.wait_for_keys(0)


Connect = Callable[..., locker.Client]


@pytest.fixture
def connect(prefix: str, etcd: Etcd) -> Iterator[Connect]:
    """locker.connect for this test's prefix, with a short ttl; the clients are disconnected at the end."""
    clients: list[locker.Client] = []

    def connect(endpoints: str | Sequence[str] | None = None, *, ttl: float = 3, timeout: float = 5) -> locker.Client:
        clients.append(locker.connect(endpoints, prefix=prefix, ttl=ttl, timeout=timeout))
        return clients[-1]

    yield connect
    for client in clients:
        client.disconnect()


@pytest.fixture
def client(connect: Connect) -> locker.Client:
    return connect()


@pytest.fixture
def other(connect: Connect) -> locker.Client:
    """A second client: another contender, as far as etcd can tell."""
    return connect()


Run = Callable[[Callable[[aio.Client], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(prefix: str, etcd: Etcd) -> Run:
    """Run a function with a client in an event loop."""

    def run(function: Callable[[aio.Client], Coroutine[Any, Any, None]]) -> None:
        async def connected() -> None:
            async with aio.connect(prefix=prefix, ttl=3) as client:
                await function(client)

        asyncio.run(asyncio.wait_for(connected(), 60))

    return run
