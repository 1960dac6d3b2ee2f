"""The functions of the module: those of a Client that the environment describes."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterable

from locker._locker import Client, Guard, Watcher, connect, is_open
from locker.errors import Error, LostError
from locker.info import Info


class _Attempt:
    """To connect. Those who come meanwhile take its outcome: when etcd is away, none waits longer than for one."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.error: Error | None = None
        # Not an Event: a signal handler may wait for it while its own thread does.
        self.under_way = threading.RLock()
        self.under_way.acquire()

    def join(self) -> None:
        """Wait for the outcome that another thread comes to."""
        with self.under_way:
            pass
        if self.error is not None:
            raise copy.copy(self.error)  # Each has a traceback of his own.


_client: Client | None = None
_attempt: _Attempt | None = None
_choosing = threading.RLock()
"""Nobody waits with it. A signal handler may come while its own thread has it."""


def _forget() -> None:
    """A child of fork connects anew."""
    global _client, _attempt, _choosing
    _client, _attempt, _choosing = None, None, threading.RLock()


os.register_at_fork(after_in_child=_forget)


def known() -> Client | None:
    """The default client, if there is one that can be used."""
    client = _client
    return client if client is not None and is_open(client) else None


def keep(client: Client) -> Client:
    """Make it the default client, unless another was faster. One that is not kept disconnects by itself."""
    global _client
    with _choosing:
        first = known()
        if first is None:
            _client = first = client
        return first


def _begin(mine: _Attempt) -> _Attempt:
    """The attempt that is under way, which is mine if there was none."""
    global _attempt
    with _choosing:
        _attempt = _attempt or mine
        return _attempt


def _end(mine: _Attempt) -> None:
    global _attempt
    if _attempt is mine:
        _attempt = None
    mine.under_way.release()


def default_client() -> Client:
    """The client that the functions of this module use. The first use connects it, anew in a child of fork or when it has
    been disconnected; the exit of the interpreter disconnects it. Threads share it.

    It is made by connect() without arguments: the environment says how, as it does for the command `locker`.

    LOCKER_ENDPOINTS, else ETCDCTL_ENDPOINTS: URLs with commas between them, else http://127.0.0.1:2379.
    LOCKER_PREFIX, LOCKER_TTL, LOCKER_TIMEOUT (else ETCDCTL_COMMAND_TIMEOUT): those arguments of connect(). Times are
        seconds or have units: 30s, 1m30s.
    LOCKER_USER, else ETCDCTL_USER: a user's name, or NAME:PASSWORD; the password may also be in LOCKER_PASSWORD, in the
        file LOCKER_PASSWORD_FILE or in ETCDCTL_PASSWORD.
    LOCKER_CACERT, LOCKER_CERT, LOCKER_CERT_KEY, else ETCDCTL_CACERT, ETCDCTL_CERT, ETCDCTL_KEY: PEM files.

    Raises what connect() raises.
    """
    while (client := known()) is None:
        mine = _Attempt()
        try:
            attempt = _begin(mine)
            # It is of this thread also where a signal handler has interrupted it, which would wait for itself.
            if attempt.thread == mine.thread:
                return keep(connect())
        except Error as error:
            mine.error = copy.copy(error)
            raise
        finally:
            _end(mine)
        attempt.join()
    return client


def lock(
    name: str,
    *,
    value: str | None = None,
    reason: str | None = None,
    timeout: float | None = None,
    shared: bool = False,
    limit: int | None = None,
    on_lost: Callable[[LostError], object] | None = None,
) -> Guard:
    """Acquire the lock `name` as default_client(), and return its Guard: see Client.lock()."""
    return default_client().lock(
        name, value=value, reason=reason, timeout=timeout, shared=shared, limit=limit, on_lost=on_lost
    )


def try_lock(
    name: str,
    *,
    value: str | None = None,
    reason: str | None = None,
    shared: bool = False,
    limit: int | None = None,
    on_lost: Callable[[LostError], object] | None = None,
) -> Guard | None:
    """Acquire the lock `name` as default_client() if nobody holds it, or if there is room; None if there is not: see
    Client.try_lock()."""
    return default_client().try_lock(name, value=value, reason=reason, shared=shared, limit=limit, on_lost=on_lost)


def lock_all(
    names: Iterable[str],
    *,
    value: str | None = None,
    reason: str | None = None,
    timeout: float | None = None,
    on_lost: Callable[[LostError], object] | None = None,
) -> Guard:
    """Acquire all these locks or none as default_client(), and return their Guard: see Client.lock_all()."""
    return default_client().lock_all(names, value=value, reason=reason, timeout=timeout, on_lost=on_lost)


def try_lock_all(
    names: Iterable[str],
    *,
    value: str | None = None,
    reason: str | None = None,
    on_lost: Callable[[LostError], object] | None = None,
) -> Guard | None:
    """Acquire all these locks as default_client() if nobody holds any of them; None if somebody does: see
    Client.try_lock_all()."""
    return default_client().try_lock_all(names, value=value, reason=reason, on_lost=on_lost)


def get(name: str, *, cached: bool = False) -> Info:
    """Who holds the lock `name`, as default_client() reads it: see Client.get()."""
    return default_client().get(name, cached=cached)


def watch(name: str) -> Watcher:
    """Watch who holds the lock `name` as default_client(): see Client.watch()."""
    return default_client().watch(name)
