"""The worker in Python: losses are found by asking."""

import fcntl
import os
import random
import signal
import struct
import subprocess
import time
import zlib

import locker

PYTHON = 5
START, DONE, ACQ_CALL, ACQ_RET, ACQ_FAIL, HELD_TRUE, REL_CALL, REL_RET, LOST, FENCED_OK, FENCED_STALE = range(1, 12)
NAKED = 14
CODES = {locker.TimeoutError: 1, locker.CancelledError: 2, locker.LostError: 3, locker.UnavailableError: 4}

HISTORY = os.open(os.environ["CHECK_HISTORY"], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
THINGS, PROGRAM = os.environ["CHECK_THINGS"], os.environ["CHECK_PROGRAM"]
TTL, LOCKS = int(os.environ["CHECK_TTL"]), int(os.environ["CHECK_LOCKS"])
PID = os.getpid()
dice = random.Random(int(os.environ["CHECK_SEED"]))
ended = False


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def append(kind: int, lock: int = 0, seq: int = 0, *, token: int = 0, at: int = 0, deadline: int = 0, revision: int = 0) -> None:
    """One write, which the kernel appends whole; of now, if `at` does not say when."""
    data = struct.pack("<HBBIIIQQQQ", 0x4B4C, PYTHON, kind, PID, lock, seq, token, at or now(), deadline, revision)
    record = data + struct.pack("<I12x", zlib.crc32(data))
    assert os.write(HISTORY, record) == 64


def code(error: locker.Error) -> int:
    return CODES.get(type(error), 9)


def write_fenced(lock: int, seq: int, token: int) -> None:
    """The fenced file takes a token, unless it had a higher one. What became of it is recorded in the file's order."""
    with open(f"{THINGS}/fenced-{lock}", "a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file.fileno()).st_size
        last = int.from_bytes(os.pread(file.fileno(), 8, size - 8), "little") if size else 0
        if token >= last:
            file.write(token.to_bytes(8, "little"))
        append(FENCED_OK if token >= last else FENCED_STALE, lock, seq, token=token)


def naked(lock: int) -> int:
    return os.open(f"{THINGS}/naked-{lock}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def read_naked(lock: int) -> int:
    file = naked(lock)
    try:
        return int.from_bytes(os.pread(file, 8, 0), "little")
    finally:
        os.close(file)


def write_naked(lock: int, seq: int, token: int, number: int) -> None:
    file = naked(lock)
    try:
        os.pwrite(file, number.to_bytes(8, "little"), 0)
    finally:
        os.close(file)
    append(NAKED, lock, seq, token=token, revision=number)


def is_held(guard: locker.Guard, lock: int, seq: int, token: int) -> bool:
    at = now()
    if guard.held:
        append(HELD_TRUE, lock, seq, token=token, at=at, deadline=at + int(guard.remaining * 1e9))
        return True
    append(LOST, lock, seq, token=token)
    return False


def had(guard: locker.Guard, lock: int, seq: int) -> int:
    at = now()
    token = guard.token
    append(ACQ_RET, lock, seq, token=token, at=at, deadline=at + int(guard.remaining * 1e9))
    return token


def use(lock: int, seq: int, token: int, number: int) -> None:
    """Also what the lock no longer protects: to be refused."""
    write_fenced(lock, seq, token)
    if dice.randrange(8) == 0:
        subprocess.run([PROGRAM, "guarded", *map(str, (PYTHON, PID, lock, seq, token))], check=False)
    write_naked(lock, seq, token, number + 1)


def ask(lock: int, seq: int) -> float:
    """Says that the lock is asked for, and for how long: mostly long enough, at times hardly, at times not at all."""
    patience = dice.choice([0, 0.02, 0.1, 3, 3, 3, 3, 3])
    append(ACQ_CALL, lock, seq, deadline=now() + int(patience * 1e9))
    return patience


def work_until() -> int:
    return now() + dice.choice([300, *range(5, 35, 3)]) * 1_000_000


def once(client: locker.Client, lock: int, seq: int) -> None:
    try:
        guard = client.lock(f"L{lock}", timeout=ask(lock, seq))
    except locker.Error as error:
        return append(ACQ_FAIL, lock, seq, revision=code(error))
    if token := had(guard, lock, seq):
        number, until = read_naked(lock), work_until()
        while now() < until and is_held(guard, lock, seq, token):
            time.sleep(0.005)
        use(lock, seq, token, number)
    append(REL_CALL, lock, seq, token=token)
    try:
        guard.unlock()
        append(REL_RET, lock, seq, token=token)
    except locker.Error as error:
        append(REL_RET, lock, seq, token=token, revision=code(error))


def run() -> None:
    client = locker.connect(prefix="/check/", ttl=TTL / 1000)
    append(START, token=TTL)
    seq = 0
    while not ended:
        seq += 1
        once(client, 1 + dice.randrange(LOCKS), seq)
    try:
        client.disconnect()
    except locker.UnavailableError:
        pass  # then the locks end with their lease
    append(DONE)


def end(*_: object) -> None:
    global ended
    ended = True


signal.signal(signal.SIGTERM, end)
run()
