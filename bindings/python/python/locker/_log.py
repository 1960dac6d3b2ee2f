"""What the core has to say, to Python's `logging`."""

from __future__ import annotations

import logging
import os
import threading

from locker._locker import last_lines, next_lines, unraisable
from locker._threads import Errand

_logger = logging.getLogger("locker")
# Nothing is written by a program that did not ask for it, warnings neither.
_logger.addHandler(logging.NullHandler())


def wanted() -> int:
    """The least level of which lines are wanted, 0 if none are. Starts the thread that carries them."""
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
    level = next((level for level in levels if _logger.isEnabledFor(level)), 0) if _has_handlers() else 0
    if level:
        try:
            _carrier.start()
        except RuntimeError:  # So late in the exit that Python starts none: flush() carries the lines.
            pass
    return level


def _has_handlers() -> bool:
    """Whether a line would reach any handler but that above."""
    logger: logging.Logger | None = _logger
    while logger is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


_writing = threading.Lock()


def _forget() -> None:
    """A child of fork may have got it in the hands of a thread that it has not got."""
    global _writing
    _writing = threading.Lock()


os.register_at_fork(after_in_child=_forget)


def _carry() -> bool:
    told = next_lines()
    if told is not None:
        with _writing:
            _write(*told)
    return told is not None


def flush() -> None:
    """Carry what has come, at the exit of the interpreter, when the thread that does it fetches no more. If that is still
    in a handler it may be stuck there, and so would be who goes the same way."""
    if _writing.acquire(timeout=_PATIENCE):
        try:
            _write(*last_lines())
        finally:
            _writing.release()


_PATIENCE = 0.3
"""Seconds that the exit waits for a handler."""

_Line = tuple[int, str, str, int, float]


def _write(lines: list[_Line], lost: int) -> None:
    for level, text, file, number, time in lines:
        if _logger.isEnabledFor(level):
            record = _logger.makeRecord(_logger.name, level, file, number, text, (), None)
            # When it was said, not when it came here.
            record.relativeCreated += (time - record.created) * 1000
            record.created, record.msecs = time, float(int(time % 1 * 1000))
            try:
                _logger.handle(record)
            except Exception as error:  # Of a filter: handlers deal with their own.
                unraisable(error, _logger)
            except BaseException as error:  # SystemExit, say: the thread that carries the log would end for good.
                if threading.current_thread() is threading.main_thread():
                    raise
                unraisable(error, _logger)
    if lost:
        _logger.warning("%d lines were lost here: the handlers of this log are slow", lost)


_carrier = Errand("locker-log", _carry)
