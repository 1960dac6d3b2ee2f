"""The classes of errors, and what can be pickled."""

from __future__ import annotations

import builtins
import copy
import pickle
from datetime import datetime, timezone
from typing import Any

import pytest

import locker
from locker import errors

INFO = locker.Info(
    name="a",
    token=7,
    mode="exclusive",
    value="node-3",
    reason="upgrade",
    host="h",
    pid=1,
    program="p",
    since=datetime(2026, 1, 2, tzinfo=timezone.utc),
    holders=1,
    limit=0,
    waiters=2,
    lease_left=1.5,
)
BASES: dict[type[locker.Error], tuple[str, type[BaseException]]] = {
    locker.TimeoutError: ("timeout", builtins.TimeoutError),
    locker.CancelledError: ("cancelled", Exception),
    locker.LostError: ("lost", Exception),
    locker.UnavailableError: ("unavailable", ConnectionError),
    locker.DeniedError: ("denied", PermissionError),
    locker.InvalidError: ("invalid", ValueError),
    locker.InternalError: ("internal", Exception),
}
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def test_all_are_there() -> None:
    assert set(BASES) == set(locker.Error.__subclasses__())


@pytest.mark.parametrize("error", BASES)
def test_each_has_its_name_and_base(error: type[locker.Error]) -> None:
    code, base = BASES[error]
    assert error.code == code
    assert issubclass(error, base) and issubclass(error, locker.Error)
    assert error.__module__ == "locker"
    made = error("a text")
    assert (str(made), made.detail) == ("a text", None)


@pytest.mark.parametrize("error", BASES)
def test_each_is_what_the_core_means_by_its_name(error: type[locker.Error]) -> None:
    made = errors._new(error.code, "a text", 14, INFO, "expired")
    assert (type(made), str(made), made.detail) == (error, "a text", 14)
    assert getattr(made, "holder", None) == (INFO if error is locker.TimeoutError else None)
    assert getattr(made, "loss", None) == ("expired" if error is locker.LostError else None)


def test_a_kind_that_is_not_known_yet_is_an_error_all_the_same() -> None:
    assert type(errors._new("tomorrow", "a text", None, None, None)) is locker.InternalError


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("error", BASES)
def test_errors_survive_pickling(error: type[locker.Error], protocol: int) -> None:
    made = error("a text", detail=14)
    if isinstance(made, locker.TimeoutError):
        made.holder = INFO
    again = pickle.loads(pickle.dumps(made, protocol))
    assert type(again) is error
    assert (str(again), again.detail, vars(again)) == ("a text", 14, vars(made))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_info_survives_pickling(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(INFO, protocol)) == INFO


def test_info_is_a_value() -> None:
    assert INFO == copy.copy(INFO) and hash(INFO) == hash(copy.copy(INFO))
    assert INFO != locker.Info("a", 8, *[getattr(INFO, field) for field in list(INFO.__slots__)[2:]])
    with pytest.raises(AttributeError):
        INFO.token = 8  # type: ignore[misc]


def test_a_real_error_survives_pickling(client: locker.Client) -> None:
    with client.lock("a", value="node-3"):
        with pytest.raises(locker.TimeoutError) as caught:
            client.lock("a", timeout=0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.holder == caught.value.holder and again.holder.value == "node-3"


def test_what_is_connected_is_not_copied(client: locker.Client) -> None:
    with client.lock("a") as guard, client.watch("a") as watcher:
        connected: list[Any] = [client, guard, watcher]
        for thing in connected:
            for protocol in PROTOCOLS:
                with pytest.raises(TypeError, match=f"cannot pickle or copy a locker.{type(thing).__name__}"):
                    pickle.dumps(thing, protocol)
            with pytest.raises(TypeError):
                copy.copy(thing)
            with pytest.raises(TypeError):
                type(thing)()
