"""A reader of files that somebody else may have written, and where the good files lie that are damaged for it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mutations

from emojibench.errors import UserError

Mutate = Callable[[bytes, list[mutations.Edit], bytes], bytes]


@dataclass(frozen=True)
class Parser:
    """One reader."""

    name: str
    seeds: tuple[Path, ...]
    """Good files, all of the same kind; where others belong to one, they lie beside it."""
    read: Callable[[Path], object]
    mutations: tuple[Mutate, ...] = (mutations.apply,)
    refusal: type[Exception] = UserError
    """How it refuses a file; the message names the file or its folder."""

    def place(self, seed: Path, folder: Path) -> Path:
        """Where a damaged copy of a seed goes in `folder`: with what lies beside it, if anything does."""
        if len(list(seed.parent.iterdir())) == 1:
            return folder / seed.name
        target = folder / seed.parent.name
        if not target.exists():
            shutil.copytree(seed.parent, target)
        return target / seed.name


class Seeds:
    """Gives every seed a folder of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def file(self, group: str, name: str, content: bytes | str | Callable[[Path], object]) -> Path:
        path = self._root / group / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path
