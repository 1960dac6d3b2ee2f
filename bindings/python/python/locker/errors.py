"""What locker raises: one class for each thing that a program can do about it, all under Error."""

from __future__ import annotations

import builtins
from typing import ClassVar

from locker.info import Info


class Error(Exception):
    """What everything in locker raises, except TypeError for an argument of a wrong type.

    Its text is one line for people. Every error can be pickled.
    """

    code: ClassVar[str] = "internal"
    """The kind of error, by the name that it has in every language that locker speaks, such as "unavailable"."""

    detail: int | None
    """The gRPC status code, when etcd or the way to it gave one."""

    def __init__(self, message: str, *, detail: int | None = None) -> None:
        super().__init__(message)
        self.detail = detail


class TimeoutError(Error, builtins.TimeoutError):
    """The wait for other holders ended first; nothing is held."""

    code = "timeout"

    holder: Info | None
    """Who holds the lock, if it is known."""

    def __init__(self, message: str, *, detail: int | None = None, holder: Info | None = None) -> None:
        super().__init__(message, detail=detail)
        self.holder = holder


class CancelledError(Error):
    """The guard was unlocked, or its client ended: disconnected, or since etcd's history went back."""

    code = "cancelled"


class LostError(Error):
    """The lock was held and is no longer."""

    code = "lost"

    loss: str | None
    """How: "expired" (the lease was not renewed in time, by this process's own clock), "lease_gone" (etcd said so),
    "key_deleted" (by somebody), or "went_back" (etcd was wiped or restored from a backup)."""

    def __init__(self, message: str, *, detail: int | None = None, loss: str | None = None) -> None:
        super().__init__(message, detail=detail)
        self.loss = loss


class UnavailableError(Error, ConnectionError):
    """etcd cannot be reached or has no leader. Trying again may help."""

    code = "unavailable"


class DeniedError(Error, PermissionError):
    """etcd refused: wrong credentials, or no permission on the key."""

    code = "denied"


class InvalidError(Error, ValueError):
    """An argument is wrong, or an object was inherited across fork; the text says which."""

    code = "invalid"


class InternalError(Error):
    """A bug in locker."""

    code = "internal"


_BY_CODE: dict[str, type[Error]] = {
    error.code: error
    for error in (CancelledError, UnavailableError, DeniedError, InvalidError, InternalError)
}


def _new(code: str, message: str, detail: int | None, holder: Info | None, loss: str | None) -> Error:
    """The error of the kind that the core calls `code`."""
    if code == TimeoutError.code:
        return TimeoutError(message, detail=detail, holder=holder)
    if code == LostError.code:
        return LostError(message, detail=detail, loss=loss)
    return _BY_CODE.get(code, InternalError)(message, detail=detail)
