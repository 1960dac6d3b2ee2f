"""`locker` and `locker.aio` have the same names, with the same arguments: who knows one knows the other."""

from __future__ import annotations

import inspect
import pydoc
from typing import Any

import pytest

import locker
from locker import aio

ONLY_WITH = {"__enter__": "__aenter__", "__exit__": "__aexit__", "__next__": "__anext__", "__iter__": "__aiter__"}


def public(thing: Any) -> set[str]:
    names = {name for name in dir(thing) if not name.startswith("_")}
    return names | {ONLY_WITH.get(name, name) for name in ONLY_WITH if hasattr(thing, name)}


def test_the_modules_have_the_same_names() -> None:
    assert locker.__all__ == aio.__all__ == sorted(locker.__all__)
    for name in locker.__all__:
        assert getattr(locker, name).__module__ == "locker"
        assert getattr(aio, name).__module__ in ("locker", "locker.aio")


@pytest.mark.parametrize("name", ["Client", "Guard", "Watcher"])
def test_the_classes_have_the_same_names(name: str) -> None:
    ours = public(getattr(locker, name))
    theirs = {n for n in public(getattr(aio, name))} | {a for a in ONLY_WITH.values() if hasattr(getattr(aio, name), a)}
    assert ours == theirs


FUNCTIONS = ["connect", "default_client", "get", "lock", "lock_all", "locked", "try_lock", "try_lock_all", "watch"]
METHODS = [
    *(f"Client.{name}" for name in ("lock", "lock_all", "try_lock", "try_lock_all", "get", "watch", "disconnect")),
    *(f"Guard.{name}" for name in ("check", "info", "lost", "unlock")),
    "Watcher.unwatch",
]


@pytest.mark.parametrize("name", FUNCTIONS + METHODS)
def test_they_take_the_same_arguments(name: str) -> None:
    def parameters(module: Any) -> list[tuple[str, Any, Any]]:
        function = module
        for part in name.split("."):
            function = getattr(function, part)
        return [
            (p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values() if p.name != "self"
        ]

    assert parameters(locker) == parameters(aio)


def test_no_method_is_forgotten_above() -> None:
    for name in ("Client", "Guard", "Watcher"):
        of_class = getattr(locker, name)
        methods = {n for n in dir(of_class) if not n.startswith("_") and callable(getattr(of_class, n))}
        assert {f"{name}.{n}" for n in methods} == {m for m in METHODS if m.startswith(f"{name}.")}


@pytest.mark.parametrize("module", [locker, aio])
def test_help_tells_of_everything(module: Any) -> None:
    text = pydoc.plain(pydoc.render_doc(module))
    for name in module.__all__:
        assert name in text, name
    for name in FUNCTIONS:
        assert inspect.getdoc(getattr(module, name)), name
