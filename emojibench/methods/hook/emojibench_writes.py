"""Notes which files a Python process writes or removes outside the folders that are its own."""

import os
import sys
from typing import Any, Iterable, List, Set, Tuple

MOST = 50
"""Paths that are noted."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = {
    "os.mkdir": [("+", 0, 2)],
    "os.link": [("+", 1, 3)],
    "os.symlink": [("+", 1, 2)],
    "os.truncate": [("+", 0, 9)],
    "os.remove": [("-", 0, 1)],
    "os.rmdir": [("-", 0, 1)],
    "os.rename": [("-", 0, 2), ("+", 1, 3)],
}
"""Event to what it does: written or removed, and which of its arguments are the path and the folder it counts from."""


def watch(own: Iterable[str], report: str) -> None:
    """Append a line `+PATH` (written) or `-PATH` (removed) to `report` for each path outside the folders `own`.

    Caches count as its own: hidden folders of the home folder, `__pycache__`, and where variables put them. So do
    devices. Does nothing in Pythons that have no audit hooks (before 3.8).
    """
    if not hasattr(sys, "addaudithook"):
        return
    inside = tuple(os.path.realpath(folder) + os.sep for folder in [*own, *_caches()] if folder)
    hidden = os.path.join(os.path.realpath(os.path.expanduser("~")), ".")
    seen: Set[str] = set()

    def outside(path: str) -> bool:
        if (path + os.sep).startswith(inside) or path.startswith((hidden, "/dev/", "/proc/")):
            return False
        return os.sep + "__pycache__" + os.sep not in path + os.sep

    def hook(event: str, arguments: Tuple[Any, ...]) -> None:
        for sign, path in _touched(event, arguments):
            line = sign + path
            if line not in seen and len(seen) < MOST and outside(path):
                seen.add(line)
                with open(report, "a", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(line + "\n")

    def guarded(event: str, arguments: Tuple[Any, ...]) -> None:
        try:
            hook(event, arguments)
        except Exception:  # an error here would be one of the program's own call
            pass

    sys.addaudithook(guarded)


def _caches() -> List[str]:
    names = ("XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "EMOJIBENCH_CACHE")
    return [os.environ[name] for name in names if os.environ.get(name)]


def _touched(event: str, arguments: Tuple[Any, ...]) -> List[Tuple[str, str]]:
    """Sign and absolute path of what an event writes (+) or removes (-)."""
    if event == "open":
        path, mode, flags = arguments
        by_mode = isinstance(mode, str) and bool(set(mode) & set("wax+"))
        by_flags = isinstance(flags, int) and bool(flags & _WRITING)
        found = [("+", path, -1)] if by_mode or by_flags else []
    else:
        parts = _EVENTS.get(event, ())
        found = [
            (sign, arguments[at], arguments[base] if base < len(arguments) else -1)
            for sign, at, base in parts
        ]
    return [(sign, _absolute(path, base)) for sign, path, base in found if not isinstance(path, int)]


def _absolute(path: Any, base: int) -> str:
    text = os.fsdecode(path)
    if base not in (None, -1) and not os.path.isabs(text):
        text = os.path.join(os.readlink(f"/proc/self/fd/{base}"), text)
    folder, name = os.path.split(os.path.abspath(text))
    return os.path.join(os.path.realpath(folder), name)
