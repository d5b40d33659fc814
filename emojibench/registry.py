"""Finds methods and metrics by entry point, without importing any of them before it is asked for."""

import difflib
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from emojibench.errors import UserError

METHODS = "emojibench.methods"
METRICS = "emojibench.metrics"


def names(group: str) -> list[str]:
    """Sorted names registered under an entry-point group."""
    return sorted(_points(group))


def load(group: str, name: str) -> Any:
    """Import and return what `name` is registered as.

    Raises:
        UserError: no such name (the nearest one is suggested), or its module cannot be imported.
    """
    points = _points(group)
    if name not in points:
        kind = group.rpartition(".")[2].removesuffix("s")
        raise UserError(unknown(kind, name, points))
    try:
        return points[name].load()
    except ImportError as error:
        raise UserError(f"{name!r} ({points[name].value}) cannot be imported: {error}") from error


def unknown(kind: str, given: str, known: Iterable[str]) -> str:
    """Message for a misspelt name, with the nearest known ones."""
    known = sorted(known)
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {given!r}.{hint} Known: {', '.join(known) or 'none'}."


def _points(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        if point.name in found and found[point.name].value != point.value:
            raise UserError(
                f"two packages register {point.name!r} under {group}: "
                f"{found[point.name].value} and {point.value}; uninstall one of them"
            )
        found[point.name] = point
    return found
