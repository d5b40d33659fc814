"""Finds methods and metrics by entry point, without importing any of them before it is asked for.

A plug-in that is broken is an error where it is asked for by name, and a line of warning where all are wanted.
"""

import difflib
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from os import PathLike
from typing import Any

from emojibench import extras
from emojibench.errors import UserError, one_line, plain

METHODS = "emojibench.methods"
METRICS = "emojibench.metrics"
_warned: set[str] = set()


def names(group: str) -> list[str]:
    """Sorted names registered under an entry-point group."""
    return sorted(_points(group))


def check(group: str, name: str) -> None:
    """Raise `UserError` with the nearest name where none such is registered; imports nothing."""
    if name not in (known := names(group)):
        raise UserError(unregistered(group, name, known))


def load(group: str, name: str) -> Any:
    """Import and return what `name` is registered as.

    Raises:
        UserError: no such name (the nearest one is suggested), several packages claim it, its module cannot be
            imported, or what it holds is no method or metric.
    """
    check(group, name)
    return _load(group, name, _points(group)[name])


def _load(group: str, name: str, points: Sequence[EntryPoint]) -> Any:
    """What `name` is registered as, by these entry points; raises as `load`."""
    kind = _kind(group)
    values = sorted({point.value for point in points})
    if len(values) > 1:
        raise UserError(
            f"{kind} {name!r}: several packages register it: {', '.join(values)}; uninstall all but one"
        )
    try:
        loaded = points[0].load()
        lacking = _lacking(group, loaded)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # modules raise SystemExit and worse
        if missing := extras.lacking(error):
            raise UserError(f"{kind} {name!r}: {missing}") from error
        raise UserError(
            f"{kind} {name!r} ({plain(values[0])}) cannot be imported: {one_line(error)}; "
            "correct or uninstall its package"
        ) from error
    if lacking:
        raise UserError(
            f"{kind} {name!r} ({values[0]}) is no {kind}: {lacking}; correct or uninstall its package"
        )
    return loaded


def usable(group: str) -> dict[str, Any]:
    """All of a group that can be had, by name in order; what cannot is told once on stderr, in one line each."""
    found = {}
    for name, points in sorted(_points(group).items()):  # read once: that takes longer than all imports
        try:
            found[name] = _load(group, name, points)
        except UserError as error:
            if name not in _warned and sys.stderr is not None:
                print(f"warning: left out: {error}", file=sys.stderr, flush=True)
            _warned.add(name)
    return found


def unknown(kind: str, given: str, known: Iterable[str]) -> str:
    """Message for a misspelt name, with the nearest known ones."""
    known = sorted(known)
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {given!r}.{hint} Known: {', '.join(known) or 'none'}."


def unregistered(group: str, given: str, known: Iterable[str]) -> str:
    """Message for a name that no entry point has: it is misspelt, or its package was not installed since."""
    kind = _kind(group)
    return f"{unknown(kind, given, known)} A {kind} that was just added is known once its package is installed again."


def _lacking(group: str, loaded: Any) -> str:
    """What a method or metric must have at least and this has not."""
    if group == METHODS and isinstance(loaded, str | PathLike):
        return ""  # the YAML file of a command
    if not callable(loaded):
        return "it cannot be called"
    if group == METRICS:
        if getattr(loaded, "kind", None) not in ("clip", "set"):
            return "its `kind` is neither 'clip' nor 'set'"
        if not getattr(loaded, "traits", ()):
            return "it has no `traits`"
        if not all(isinstance(getattr(traits, "name", None), str) for traits in loaded.traits):
            return "its `traits` name no columns"
    return ""


def _kind(group: str) -> str:
    return group.rpartition(".")[2].removesuffix("s")


def _points(group: str) -> dict[str, list[EntryPoint]]:
    """Entry points by name; the same package may be found twice, on two places of the path."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, []).append(point)
    return found
