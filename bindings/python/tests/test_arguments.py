"""Bad input is an error that names the argument, at once, and harms nothing."""

from __future__ import annotations

import itertools
import math
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from conftest import Connect, Run

import locker
from locker import aio

NAMES = {
    "empty": "",
    "too long": "n" * 256,
    "too long in UTF-8": "ä" * 128,
    "NUL": "a\0b",
    "lone surrogate": "a\udc80",
}
TIMES = {
    "negative": -1,
    "a little negative": -1e-9,
    "not a number": math.nan,
    "infinite": math.inf,
    "minus infinite": -math.inf,
    "absurd": 1e12,
    "huge": 10**400,
}
NOT_TIMES = {"bool": True, "str": "5", "list": [5], "timedelta": timedelta(seconds=5)}
NOT_STR = {"bytes": b"a", "int": 3, "None": None}


def table(cases: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bad", cases.values(), ids=cases.keys())


Call = Callable[[locker.Client, Any], object]
NAMED: list[Call] = [locker.Client.lock, locker.Client.try_lock, locker.Client.get, locker.Client.watch]


@table(NAMES)
@pytest.mark.parametrize("call", NAMED)
def test_names(client: locker.Client, call: Call, bad: str) -> None:
    with pytest.raises(locker.InvalidError, match="name"):
        call(client, bad)


@table(NOT_STR)
@pytest.mark.parametrize("call", NAMED)
def test_names_of_a_wrong_type(client: locker.Client, call: Call, bad: Any) -> None:
    with pytest.raises(TypeError, match="name: must be str, not"):
        call(client, bad)


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127, "with space", "a/b", "%41", "日本", "\n", "..", "%!"])
def test_names_that_are_good(client: locker.Client, name: str) -> None:
    with client.lock(name) as guard:
        assert guard.name == name
        assert client.get(name).token == guard.token


@table(TIMES)
@pytest.mark.parametrize("argument", ["ttl", "timeout"])
def test_times_of_connect(argument: str, bad: float) -> None:
    with pytest.raises(locker.InvalidError, match=f"^{argument}"):
        locker.connect(**{argument: bad})  # type: ignore[arg-type]


@table(NOT_TIMES | {"None": None})
@pytest.mark.parametrize("argument", ["ttl", "timeout"])
def test_times_of_connect_of_a_wrong_type(argument: str, bad: Any) -> None:
    with pytest.raises(TypeError, match=f"^{argument}: must be a number of seconds, not {type(bad).__name__}"):
        locker.connect(**{argument: bad})


def test_a_timedelta_is_told_what_to_do(client: locker.Client) -> None:
    with pytest.raises(TypeError, match="not timedelta: give its total_seconds\\(\\)$"):
        client.lock("a", timeout=timedelta(seconds=5))  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", ["ttl", "timeout"])
def test_zero_is_no_time_for_connect(argument: str) -> None:
    with pytest.raises(locker.InvalidError, match=argument):
        locker.connect(**{argument: 0})  # type: ignore[arg-type]


@table(TIMES)
def test_times_of_lock(client: locker.Client, bad: float) -> None:
    with pytest.raises(locker.InvalidError, match="^timeout"):
        client.lock("a", timeout=bad)


@table(NOT_TIMES)
def test_times_of_lock_of_a_wrong_type(client: locker.Client, bad: Any) -> None:
    with pytest.raises(TypeError, match="^timeout: must be a number of seconds"):
        client.lock("a", timeout=bad)


@pytest.mark.parametrize("argument, longest", [("value", 1023), ("reason", 255)])
def test_texts_of_lock(client: locker.Client, argument: str, longest: int) -> None:
    for bad in ["v" * (longest + 1), "\udc80"]:
        with pytest.raises(locker.InvalidError, match=argument):
            client.lock("a", **{argument: bad})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=f"^{argument}: must be str, not bytes"):
        client.lock("a", **{argument: b"v"})  # type: ignore[arg-type]
    for good in ["", "v" * longest, "\"\\\n\x7f日本"]:
        with client.lock("a", **{argument: good}):  # type: ignore[arg-type]
            assert getattr(client.get("a"), argument) == good


class Three:
    """A number as those of numpy are."""

    def __index__(self) -> int:
        return 3


BAD_MODES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"shared": 1}, TypeError, "^shared: must be bool, not int$"),
    ({"shared": None}, TypeError, "^shared: must be bool, not NoneType$"),
    ({"shared": "no"}, TypeError, "^shared: must be bool, not str$"),
    ({"limit": True}, TypeError, "^limit: must be int, not bool$"),
    ({"limit": 3.0}, TypeError, "^limit: must be int, not float$"),
    ({"limit": "3"}, TypeError, "^limit: must be int, not str$"),
    ({"limit": 0}, locker.InvalidError, "^limit: must be 1 to 4294967295$"),
    ({"limit": -1}, locker.InvalidError, "^limit: must be 1 to 4294967295$"),
    ({"limit": 2**32}, locker.InvalidError, "^limit: must be 1 to 4294967295$"),
    ({"limit": 10**400}, locker.InvalidError, "^limit: must be 1 to 4294967295$"),
    ({"shared": True, "limit": 3}, locker.InvalidError, "^limit: must not be given with shared"),
]


@pytest.mark.parametrize("bad, error, complaint", BAD_MODES)
def test_modes(client: locker.Client, run: Run, bad: dict[str, Any], error: type[Exception], complaint: str) -> None:
    calls: list[Callable[..., object]] = [client.lock, client.try_lock]
    calls += [lambda name, **bad: locker.locked(name, client=client, **bad)(print)()]
    for call in calls:
        with pytest.raises(error, match=complaint):
            call("a", **bad)

    async def main(client: aio.Client) -> None:
        @aio.locked("a", client=client, **bad)
        async def work() -> None:
            raise AssertionError("the body ran")

        for opening in (client.lock("a", **bad), client.try_lock("a", **bad), work()):
            with pytest.raises(error, match=complaint):
                await opening

    run(main)


@pytest.mark.parametrize("limit", [1, 2**32 - 1, Three()])
def test_limits_that_are_good(client: locker.Client, limit: Any) -> None:
    with client.lock("a", limit=limit, shared=False):
        assert client.get("a").limit == limit.__index__()
    with client.lock("a", limit=None, shared=True):
        assert client.get("a").limit == 0


BAD_NAMES: list[tuple[Any, type[Exception], str]] = [
    ("abc", TypeError, "^names: must be an iterable of str, not str$"),
    (b"abc", TypeError, "^names: must be an iterable of str, not bytes$"),
    (bytearray(b"abc"), TypeError, "^names: must be an iterable of str, not bytearray$"),
    (3, TypeError, "^names: must be an iterable of str, not int$"),
    (None, TypeError, "^names: must be an iterable of str, not NoneType$"),
    (["a", 3], TypeError, r"^names\[1\]: must be str, not int$"),
    (["a", "\udc80"], locker.InvalidError, r"^names\[1\]: not valid UTF-8"),
    ([], locker.InvalidError, "^names is empty$"),
    (["a", "b", "a"], locker.InvalidError, '^names has "a" twice$'),
    ([str(n) for n in range(61)], locker.InvalidError, "^names has too many: 61 of at most 60$"),
    (["a", ""], locker.InvalidError, "^name is empty"),
]


@pytest.mark.parametrize("bad, error, complaint", BAD_NAMES, ids=str)
def test_names_of_several(client: locker.Client, run: Run, bad: Any, error: type[Exception], complaint: str) -> None:
    for call in (client.lock_all, client.try_lock_all):
        with pytest.raises(error, match=complaint):
            call(bad)

    async def main(client: aio.Client) -> None:
        for opening in (client.lock_all(bad), client.try_lock_all(bad)):
            with pytest.raises(error, match=complaint):
                await opening

    run(main)


def test_names_of_several_that_are_good(client: locker.Client) -> None:
    for good in (["b", "a"], ("b", "a"), {"b": 1, "a": 2}, iter("ba"), (name for name in "ba")):
        with client.lock_all(good) as guard:
            assert guard.names == ("b", "a")
    with client.lock_all({"a", "b"}) as guard:
        assert set(guard.names) == {"a", "b"}
    for shared in ({"shared": True}, {"limit": 3}):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            client.lock_all(["a"], **shared)


def test_an_iterable_of_names_that_fails_tells_so(client: locker.Client) -> None:
    with pytest.raises(ZeroDivisionError):
        client.lock_all(str(1 // n) for n in (1, 0))


def test_cached_is_a_bool(client: locker.Client) -> None:
    for bad in (1, None, "yes"):
        with pytest.raises(TypeError, match=f"^cached: must be bool, not {type(bad).__name__}$"):
            client.get("a", cached=bad)  # type: ignore[arg-type]


ENDPOINTS: dict[str, Any] = {
    "empty": "",
    "no endpoints": [],
    "an empty one": ["http://127.0.0.1:2379", ""],
    "no URL": "::::",
    "another scheme": "ftp://127.0.0.1:2379",
    "lone surrogate": "http://\udc80",
    "lone surrogate in a list": ["http://\udc80"],
}


@table(ENDPOINTS)
def test_endpoints(bad: Any) -> None:
    with pytest.raises(locker.InvalidError, match="endpoint"):
        locker.connect(bad)


@table({"int": 3, "bytes": b"http://127.0.0.1:2379", "list of int": [3], "bool": False})
def test_endpoints_of_a_wrong_type(bad: Any) -> None:
    with pytest.raises(TypeError, match="^endpoints: must be str, not"):
        locker.connect(bad)


def test_other_arguments_of_connect() -> None:
    for argument in ["prefix", "username", "password"]:
        with pytest.raises(TypeError, match=f"^{argument}: must be str, not int"):
            locker.connect(**{"username": "u", "password": "p", argument: 3})  # type: ignore[arg-type]
    for argument in ["ca_file", "cert_file", "key_file"]:
        with pytest.raises(TypeError, match=f"^{argument}: must be str or os.PathLike, not int"):
            locker.connect(**{"cert_file": "c", "key_file": "k", argument: 3})  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        locker.connect(prefix=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        locker.connect("http://127.0.0.1:2379", "/p/")  # type: ignore[call-arg]


@pytest.mark.parametrize("given, missing", list(itertools.permutations(["username", "password"])))
def test_user_and_password_come_together(given: str, missing: str) -> None:
    with pytest.raises(locker.InvalidError, match=f"^{missing}: must be given with {given}"):
        locker.connect(**{given: "x"})  # type: ignore[arg-type]


@pytest.mark.parametrize("given, missing", list(itertools.permutations(["cert_file", "key_file"])))
def test_certificate_and_key_come_together(given: str, missing: str) -> None:
    with pytest.raises(locker.InvalidError, match=f"{given} is given without {missing}"):
        locker.connect("https://127.0.0.1:2379", **{given: "x"})  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(locker.InvalidError, match="no-such-file.pem"):
        locker.connect("https://127.0.0.1:2379", ca_file="/no-such-file.pem")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_an_unknown_endpoint_is_named() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    start = time.monotonic()
    with pytest.raises(locker.UnavailableError, match=endpoint) as caught:
        locker.connect(endpoint, timeout=1)
    assert time.monotonic() - start < 1.5
    assert isinstance(caught.value, ConnectionError)


def test_an_endpoint_that_says_nothing_is_named() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(locker.UnavailableError, match=endpoint):
            locker.connect(endpoint, timeout=1)
        assert time.monotonic() - start < 1.5


def test_endpoints_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    monkeypatch.setenv("LOCKER_ENDPOINTS", dead[0])
    monkeypatch.setenv("ETCDCTL_ENDPOINTS", dead[1])
    with pytest.raises(locker.UnavailableError, match=dead[0]):
        locker.connect(timeout=0.5)
    monkeypatch.setenv("LOCKER_ENDPOINTS", "")
    with pytest.raises(locker.UnavailableError, match=dead[1]):
        locker.connect(timeout=0.5)


def test_endpoints_may_be_a_list(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints = os.environ["LOCKER_ENDPOINTS"].split(",")
    with monkeypatch.context() as without:
        without.delenv("LOCKER_ENDPOINTS")
        connect(endpoints).get("a")
        connect(tuple(endpoints)).get("a")
