"""The folder of a page: only what we wrote is in it, and only that is ever replaced or removed.

Names come from digests of contents, so nothing that a run or dataset is called becomes part of a path, and a page that
is made again keeps every file that is still right. `data/index.js` is written last: until then the old page is whole.
"""

import fcntl
import hashlib
import io
import json
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from emojibench.errors import UserError, WriteError
from emojibench.files.writing import write_bytes, write_text
from emojibench.types import Image

STATIC = (
    "index.html",
    "style.css",
    "base.js",
    "board.js",
    "campaign.js",
    "clips.js",
    "chart.js",
    "panels.js",
    "player.js",
    "main.js",
)
"""Files of the page that are the same for all runs, in the package's folder `static`."""
_MARK = ".emojibench-page"
_OURS = re.compile(
    rf"{re.escape(_MARK)}|index\.html|static/[a-z]+\.(css|js)|data/(index|[rca]-[0-9a-f]{{20}})\.js"
    r"|media/[0-9a-f]{20}-[a-z]+\d*\.webp"
    r"|(\w+/)?\.[\w-]+\.\d+-[0-9a-f]{8}\.(html|css|js|webp)"  # what a killed command was writing
)
_DIGITS = 20


def key(*parts: object) -> str:
    """Name of a file that depends on all of `parts`, which JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_DIGITS]


class PageFolder:
    """A folder that holds a page, or will hold one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder and hold it until the block ends: another command that makes the same page waits.

        Raises:
            UserError: it holds files that are none of a page's.
            WriteError: it cannot be made.
        """
        self._refuse_foreign()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            mark = os.open(self.path / _MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise WriteError(
                f"cannot write {self.path}: {error.strerror}; choose another folder with --out"
            ) from error
        try:
            fcntl.flock(mark, fcntl.LOCK_EX)
            yield
        finally:
            os.close(mark)

    def has(self, name: str) -> bool:
        """Whether a data file is there and complete. One that lacks what could not be read before is made again."""
        try:
            return '"retry":true' not in (self.path / "data" / f"{name}.js").read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return False

    def write_data(self, name: str, content: Any) -> None:
        """Write a script that hands `content` to the page: browsers load scripts from disk, but no JSON.

        ASCII only, and no `<`, so that nothing in it can end a script or be taken for markup.
        """
        text = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        write_text(self.path / "data" / f"{name}.js", f'EB.put("{name}",{text});\n')

    def write_picture(self, name: str, image: Image, *, quality: int | None = None) -> str:
        """Write an RGB picture (H, W, 3) as WebP, lossless unless there is a `quality`; returns the file's name."""
        buffer = io.BytesIO()
        how: dict[str, Any] = (
            {"lossless": True, "method": 1} if quality is None else {"quality": quality, "method": 2}
        )
        Pillow.fromarray(image).save(buffer, format="webp", **how)
        write_bytes(self.path / "media" / f"{name}.webp", buffer.getvalue())
        return f"{name}.webp"

    def write_static(self) -> None:
        """Write the files that are the same for all pages."""
        source = files("emojibench.reports.page") / "static"
        for name in STATIC:
            target = self.path / name if name == "index.html" else self.path / "static" / name
            write_bytes(target, (source / name).read_bytes())

    def sweep(self, data: Collection[str]) -> None:
        """Remove data files other than those named, and pictures that belong to none of them."""
        keys = {name.partition("-")[2] for name in data}
        for file in (self.path / "data").glob("*.js"):
            if file.stem not in data and file.stem != "index":
                file.unlink()
        for file in (self.path / "media").glob("*.webp"):
            if file.name[:_DIGITS] not in keys:
                file.unlink()

    def _refuse_foreign(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise UserError(
                f"{self.path}: expected a folder for the page, got a file; choose another with --out"
            )
        there = list(_below(self.path))
        if not there:
            return
        ours = (self.path / _MARK).is_file()
        if strange := [name for name in there if not (ours and _OURS.fullmatch(name))]:
            raise UserError(
                f"{self.path}: expected an empty folder or a page made earlier, but it holds {strange[0]!r}; "
                "move that away or choose another folder with --out"
            )


def _below(folder: Path) -> Iterator[str]:
    """Relative names of all files and links below a folder, sorted; links are not followed."""
    for path, folders, names in os.walk(folder):
        here = Path(path)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in sorted([*names, *links]):
            yield (here / name).relative_to(folder).as_posix()
