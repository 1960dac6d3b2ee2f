"""What can be called like a function."""

from __future__ import annotations

import functools
from typing import Any


def bodies(function: Any) -> tuple[Any, Any]:
    """What a call runs: a function, or the method of an object that can be called like one."""
    while isinstance(function, functools.partial):
        function = function.func
    return function, getattr(type(function), "__call__", None)
