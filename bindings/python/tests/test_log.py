"""The core's log comes to Python's `logging`, and costs nothing where nobody wants it."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from queue import Queue

import pytest
from conftest import Connect
from proxy import Proxy
from support import DEADLINE, Etcd, run, until

import locker
from locker import _log, _threads

PROGRAM = """
    import logging, os, subprocess, sys, threading, time
    import locker

    def threads():
        return {thread.name for thread in threading.enumerate()}

    def lose(guard):
        "A loss is a line at level DEBUG, of a client that watches or holds for a while; a lease that is revoked is sure."
        lease = guard.key.rpartition("/")[2].partition("-")[0]
        subprocess.run(["etcdctl", "lease", "revoke", lease], check=True, stdout=subprocess.DEVNULL)
        guard.lost()
"""


class Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: Queue[logging.LogRecord] = Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.put(record)

    def find(self, text: str) -> logging.LogRecord:
        while text not in (record := self.records.get(timeout=DEADLINE)).getMessage():
            pass
        return record


@pytest.fixture
def collector() -> Iterator[Collector]:
    logger, collector = logging.getLogger("locker"), Collector()
    level = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.DEBUG)
    yield collector
    logger.removeHandler(collector)
    logger.setLevel(level)


def test_a_line_is_a_record_of_the_logger(client: locker.Client, collector: Collector) -> None:
    before = time.time()
    client.lock("a").unlock()
    record = collector.find("lease granted")
    assert (record.name, record.levelname, record.filename) == ("locker", "DEBUG", "leases.rs")
    assert record.lineno > 0 and record.threadName == "locker-log"
    assert before - 0.01 <= record.created <= time.time() + 0.01
    assert abs(record.msecs - record.created % 1 * 1000) <= 1
    started = record.created - record.relativeCreated / 1000
    ours = logging.makeLogRecord({})
    assert abs(started - (ours.created - ours.relativeCreated / 1000)) < 0.01


def test_what_endangers_locks_is_a_warning(prefix: str, etcd: Etcd, client: locker.Client, collector: Collector) -> None:
    with Proxy() as proxy:
        cut_off = locker.connect(proxy.endpoint, prefix=prefix, ttl=2, timeout=0.5)
        guard = cut_off.lock("a")
        proxy.swallow()
        assert collector.find("locks are at risk").levelno == logging.WARNING
        assert guard.held
        with pytest.raises(locker.UnavailableError):
            cut_off.disconnect()
        client.lock("a", timeout=DEADLINE).unlock()


def test_the_level_is_followed(connect: Connect, collector: Collector) -> None:
    logger = logging.getLogger("locker")
    logger.setLevel(logging.WARNING)
    connect().lock("a").unlock()
    logger.setLevel(logging.DEBUG)
    connect().lock("b").unlock()
    collector.find("lease granted")
    granted = [record for record in iter_now(collector) if "lease granted" in record.getMessage()]
    assert granted == []
    logging.disable(logging.CRITICAL)
    try:
        connect().lock("c").unlock()
    finally:
        logging.disable(logging.NOTSET)
    assert list(iter_now(collector)) == []


def iter_now(collector: Collector) -> Iterator[logging.LogRecord]:
    while not collector.records.empty():
        yield collector.records.get_nowait()


def test_slow_handlers_lose_lines_that_are_counted(prefix: str, connect: Connect, collector: Collector) -> None:
    """They hold up the log, and neither leases nor calls."""
    at_work, go_on = threading.Event(), threading.Event()

    def wait(record: logging.LogRecord) -> bool:
        at_work.set()
        return go_on.wait(DEADLINE)

    collector.addFilter(wait)
    connect().lock("a").unlock()
    assert at_work.wait(DEADLINE)
    for _ in range(400):  # Each grants a lease and ends it, and says so.
        with locker.connect(prefix=prefix) as client:
            client.lock("b").unlock()
    go_on.set()
    record = collector.find("lines were lost here")
    assert record.levelno == logging.WARNING and int(record.getMessage().split()[0]) > 0


def test_nothing_is_written_or_started_unless_asked_for(etcd: Etcd, prefix: str) -> None:
    ended = run(
        PROGRAM
        + """
    client = locker.connect(prefix=sys.argv[1], ttl=3)
    guard = client.lock("a")
    lose(guard)
    assert threads() == {"MainThread"}, threads()
    """,
        prefix,
    )
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_it_may_be_asked_for_later(etcd: Etcd, prefix: str) -> None:
    ended = run(
        PROGRAM
        + """
    client = locker.connect(prefix=sys.argv[1], ttl=3)
    guard = client.lock("a")
    logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s", stream=sys.stdout)
    client.lock("b").unlock()
    assert threads() == {"MainThread", "locker-log"}, threads()
    lose(guard)
    """,
        prefix,
    )
    assert (ended.code, ended.err) == (0, "")
    assert "DEBUG locker lease ended" in ended.out


def test_the_last_lines_come_before_the_end(etcd: Etcd, prefix: str) -> None:
    """Whether or not the thread that carries them had its turn."""
    for _ in range(10):
        ended = run(
            """
    import logging, sys
    import locker
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
    guard = locker.connect(prefix=sys.argv[1]).lock("a")
    """,
            prefix,
        )
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.count("lease granted") == 1
        assert ended.out.count("lease ended") <= 1


@pytest.mark.parametrize("handler", ["time.sleep(60)", "while True: pass", "os._exit(0) if record is None else None"])
def test_the_program_ends_whatever_a_handler_does(etcd: Etcd, prefix: str, handler: str) -> None:
    start = time.monotonic()
    ended = run(
        f"""
    import logging, os, sys, time
    import locker

    class Handler(logging.Handler):
        def handle(self, record):
            {handler}

    logging.getLogger("locker").addHandler(Handler())
    logging.getLogger("locker").setLevel(logging.DEBUG)
    client = locker.connect(prefix=sys.argv[1])
    guard = client.lock("a")
    time.sleep(0.1)
    """,
        prefix,
    )
    assert (ended.code, ended.err) == (0, "")
    assert time.monotonic() - start < 5


def test_a_handler_that_exits_is_reported_and_the_log_goes_on(
    connect: Connect, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: Queue[object] = Queue()
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reports.put(report.exc_value))
    exits = [SystemExit(3)]

    def leave(record: logging.LogRecord) -> bool:
        if exits:
            raise exits.pop()
        return True

    collector.addFilter(leave)
    connect().lock("a").unlock()
    assert isinstance(reports.get(timeout=DEADLINE), SystemExit)
    connect().lock("b").unlock()
    collector.find("lease granted")


def test_a_thread_that_python_does_not_start_any_more_fails_no_lock(
    client: locker.Client, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python 3.12 does once the main thread has ended. The end of the program carries the lines."""
    refused: list[str] = []

    def refuse(name: str, target: object) -> None:
        refused.append(name)
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as late:
        late.setattr(_log._carrier, "_started", False)
        late.setattr(_threads, "_start_thread", refuse)
        client.lock("a").unlock()
    assert refused == ["locker-log"]


def test_a_thread_locks_after_the_main_thread_has_ended(etcd: Etcd, prefix: str) -> None:
    ended = run(
        """
    import logging, sys, threading
    import locker

    def work():
        threading.main_thread().join()
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
        with locker.connect(prefix=sys.argv[1]) as client, client.lock("a"):
            pass

    threading.Thread(target=work).start()
    """,
        prefix,
    )
    assert (ended.code, ended.err) == (0, "")
    assert "lease granted" in ended.out


def test_a_filter_that_raises_is_reported_and_the_log_goes_on(etcd: Etcd, prefix: str) -> None:
    ended = run(
        """
    import logging, sys
    import locker
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)

    class Once(logging.Filter):
        done = False
        def filter(self, record):
            if not self.done:
                self.done = True
                raise ZeroDivisionError
            return True

    logging.getLogger("locker").addFilter(Once())
    for _ in range(3):
        with locker.connect(prefix=sys.argv[1]) as client:
            client.lock("a").unlock()
    """,
        prefix,
    )
    assert ended.code == 0
    assert ended.err.startswith("Exception ignored") and "ZeroDivisionError" in ended.err
    assert ended.out.count("lease granted") >= 2


def test_a_child_of_fork_logs_too(etcd: Etcd, prefix: str) -> None:
    """Also if its parent was forked in the midst of a line."""
    ended = run(
        """
    import logging, os, sys, warnings
    import locker
    warnings.simplefilter("ignore", DeprecationWarning)

    class Handler(logging.Handler):
        def emit(self, record):
            if "lease granted" in record.getMessage():
                os.write(1, f"{os.getpid()}\\n".encode())

    logging.getLogger("locker").addHandler(Handler())
    logging.getLogger("locker").setLevel(logging.DEBUG)
    children = []
    for _ in range(30):
        client = locker.connect(prefix=sys.argv[1])
        guard = client.lock("a", timeout=10)
        pid = os.fork()
        if pid == 0:
            with locker.connect(prefix=sys.argv[1]) as mine, mine.lock("b"):
                pass
            sys.exit()
        children.append(pid)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        guard.unlock()
        client.disconnect()
    os.write(1, f"children {children}\\n".encode())
    """,
        prefix,
    )
    assert (ended.code, ended.err) == (0, "")
    *pids, last = ended.out.splitlines()
    children = {int(pid) for pid in last.removeprefix("children [").removesuffix("]").split(", ")}
    assert len(children) > 1 and children <= {int(pid) for pid in pids}


def test_the_loop_thread_never_waits_for_a_handler_that_keeps_the_gil(client: locker.Client) -> None:
    """A handler that computes does not keep the lease from being renewed."""
    logger = logging.getLogger("locker")

    class Busy(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sum(range(30_000_000))

    busy = Busy()
    logger.addHandler(busy)
    logger.setLevel(logging.DEBUG)
    try:
        with client.lock("a") as guard:
            end = time.monotonic() + 4
            until(lambda: time.monotonic() > end, "four seconds", limit=DEADLINE)
            guard.check()
    finally:
        logger.removeHandler(busy)
        logger.setLevel(logging.NOTSET)
