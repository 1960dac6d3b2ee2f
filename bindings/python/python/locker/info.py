"""Who holds a lock, as others see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Info:
    """Who holds a lock, or that nobody does."""

    name: str
    """The lock."""

    token: int
    """The holder's fencing token; 0 when the lock is free."""

    mode: Literal["free", "exclusive", "shared", "foreign"]
    """How it is held: "free", "exclusive" by one, "shared" by all who asked with `shared`, or with the same `limit`, and
    found room, or "foreign" by something that is not locker, such as `etcdctl lock`."""

    value: str
    """What its holder published. Of a foreign holder: the value of its key, as it is."""

    reason: str
    """Why it is held, if the holder said so."""

    host: str
    """The holder's host name."""

    pid: int
    """The holder's process id on that host; 0 when not known."""

    program: str
    """The holder's program name."""

    since: datetime | None
    """When its holder asked for it, in UTC, by the clock of the holder's machine."""

    holders: int
    """How many hold it: more than one only if it is shared. All else here is of the one who has held it for the longest
    time."""

    limit: int
    """How many may hold it at the same time, if it is shared with a limit; else 0."""

    waiters: int
    """How many wait behind those who hold it: clients, of which one may want it many times."""

    lease_left: float | None
    """Seconds that the holder's lease would last if it were not kept alive from now on. Not told by this release: always
    None."""

    revision: int = field(default=0, compare=False)
    """The revision of etcd at which it was so; 0 when not known. It rises with every write to etcd, of whatever key, and is
    not compared: what says the same of a lock is equal."""

    @property
    def held(self) -> bool:
        """Whether somebody holds the lock."""
        return self.token != 0
