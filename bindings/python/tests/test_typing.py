"""What type checkers and readers are told is what is there."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import locker

BINDING = Path(__file__).parent.parent
EXAMPLES = BINDING.parent.parent / "examples"
STUB = BINDING / "python" / "locker" / "__init__.pyi"


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=BINDING, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_users_are_typed_strictly() -> None:
    examples = [str(EXAMPLES / name) for name in ("lock.py", "semaphore.py", "watch.py")]
    run("mypy", "--strict", "tests/usage.py", *examples)


def test_the_tests_are_typed_strictly() -> None:
    run("mypy", "--strict", *(f"tests/{path.name}" for path in Path(__file__).parent.glob("*.py")))


def test_the_binding_is_typed_strictly() -> None:
    run("mypy", "--strict", "python/locker")


def test_the_stub_is_true() -> None:
    run("mypy.stubtest", "locker", "--mypy-config-file", "pyproject.toml")


def documented() -> Iterator[tuple[str, str]]:
    """Each function and class of the stub that has a docstring, as a dotted name with that docstring."""
    pending = [("", node) for node in ast.parse(STUB.read_text()).body]
    while pending:
        scope, node = pending.pop()
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            if text := ast.get_docstring(node):
                yield scope + node.name, text
            pending += [(f"{scope}{node.name}.", inner) for inner in node.body]


@pytest.mark.parametrize("name, text", list(documented()))
def test_help_says_what_the_stub_says(name: str, text: str) -> None:
    found: object = locker
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    assert inspect.getdoc(found) == text


def test_the_module_and_its_stub_have_one_docstring() -> None:
    assert inspect.getdoc(locker) == ast.get_docstring(ast.parse(STUB.read_text()))
