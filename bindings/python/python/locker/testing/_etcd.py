"""A throw-away etcd."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import wait
from types import TracebackType
from typing import IO

from locker.errors import UnavailableError

_PATIENCE = 20.0
"""Seconds that a start may take. It takes half a one on an idle machine."""

# Ends etcd at a line on the standard input, or at its end, for whoever started it may be killed. Ends with etcd itself, which
# is seen from the standard output, and leaves no files.
_GUARD = """
directory=$1
shift
exec 3<&0
"$@" 3<&- </dev/null >&2 &
etcd=$!
exec 2>/dev/null
{ read -r _ <&3; kill -KILL "$etcd"; } >/dev/null &
wait "$etcd"
kill "$!"
rm -rf -- "$directory"
"""


class Etcd:
    """An etcd of one member, on free ports of 127.0.0.1 and in a temporary directory. It is ready when it is made, and ends
    at the end of `with`, by stop(), or with this process, whatever ends that. Its data are not synced, and end with it.

    Raises UnavailableError if there is no etcd ($LOCKER_ETCD, else the one on the PATH), or if it does not start.
    """

    endpoint: str
    """Where it is, for connect()."""

    def __init__(self) -> None:
        program, end = _program(), time.monotonic() + _PATIENCE
        while why := self._fails_to_start(program, end):
            # Somebody else may have taken a port between our choice and etcd's use of it.
            if "address already in use" not in why or time.monotonic() > end:
                raise UnavailableError(f"{program} {why}")

    def stop(self) -> None:
        """End it, and wait for that. A second call does nothing."""
        with self._guard as guard, suppress(BrokenPipeError, ValueError):  # It has ended by itself, or been stopped.
            assert guard.stdin
            guard.stdin.write(b"\n")  # Not only its end: a child of fork may have it open, too.

    def __enter__(self) -> Etcd:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.stop()

    def _fails_to_start(self, program: str, end: float) -> str | None:
        """Start it and wait until it is ready; if it does not come to that, say why, and leave nothing."""
        with tempfile.TemporaryFile() as log, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            name = f"locker-{secrets.token_hex(8)}"
            ready.bind(f"\0{name}")  # Among the abstract ones, which are no files.
            self.endpoint, peer = _free_urls()
            self._guard = _spawn(program, self.endpoint, peer, name, log)
            assert self._guard.stdout
            came: list[object] = []
            try:
                came += wait([ready, self._guard.stdout.fileno()], max(0, end - time.monotonic()))
            finally:
                if ready not in came:
                    self.stop()
            if ready in came:
                return None
            why = "did not start" if came else f"was not ready after {_PATIENCE:.0f} s"
            return f"{why}:\n{os.pread(log.fileno(), 1 << 20, 0).decode(errors='replace').strip()}"


def _spawn(program: str, client: str, peer: str, ready: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    directory = tempfile.mkdtemp(prefix="locker-etcd-")
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "locker-etcd", directory, program, *_flags(directory, client, peer)],
        env=_environment(ready),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        bufsize=0,
        start_new_session=True,  # Ctrl-C is for the tests.
    )


def _program() -> str:
    if named := os.environ.get("LOCKER_ETCD"):
        if not os.path.isfile(named) or not os.access(named, os.X_OK):
            raise UnavailableError(f"LOCKER_ETCD={named}: no such program")
        return os.path.abspath(named)
    if found := shutil.which("etcd"):
        return found
    raise UnavailableError(
        "no etcd on the PATH. On Debian and Ubuntu install it with\n"
        "    apt-get install --yes --no-install-recommends etcd-server\n"
        "or name another one in LOCKER_ETCD."
    )


def _free_urls() -> list[str]:
    """Two that are free now."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in (one, other)]


def _flags(directory: str, client: str, peer: str) -> list[str]:
    name = os.path.basename(directory)  # Which nobody else on this machine has.
    flags = {
        "data-dir": os.path.join(directory, "data"),
        "name": name,
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{name}={peer}",
        "initial-cluster-token": name,
        "logger": "zap",
        "log-level": "warn",
    }
    return [f"--{flag}={value}" for flag, value in flags.items()] + ["--unsafe-no-fsync"]


def _environment(ready: str) -> dict[str, str]:
    """Without the settings of another etcd, which every flag reads from there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    environment["NOTIFY_SOCKET"] = f"@{ready}"  # etcd says to systemd, or to whoever listens there, that it is ready.
    if platform.machine() == "aarch64":
        environment["ETCD_UNSUPPORTED_ARCH"] = "arm64"  # 3.4 runs there only when told so.
    return environment
