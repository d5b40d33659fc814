"""Which version of a command's method this is: its description, its checkout's commit, the digests of its files."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emojibench.errors import UserError
from emojibench.files.reading import is_folder, open_file
from emojibench.methods.description import CommandDescription
from emojibench.methods.places import Places
from emojibench.methods.templates import fill, placeholders

_IRRELEVANT = {
    "title", "label", "licence", "time_limit", "memory_limit", "output_limit", "gpus", "batch", "pitfalls", "read",
    "unread", "tables", "state", "parsers", "input_note", "least_frames",
}  # fmt: skip
"""Fields that frames do not depend on."""


VERSIONS = "emojibench-versions.txt"
"""In the folder of an environment that `emojibench baselines setup` made: what is installed in it."""


@dataclass(frozen=True)
class Version:
    """What tells it from others."""

    text: str
    """`COMMIT DIGEST`; another one means other frames."""
    commit: str
    """Of the checkout, with `+changes` where tracked files differ from it; empty without a checkout."""
    warning: str
    """What is not as the description wants it; empty: all is."""


def version(
    description: CommandDescription, places: Places, choices: Mapping[str, str], pinned: str | None
) -> Version:
    """Read and digest everything that decides the frames.

    Args:
        description: as its file says, motion already chosen.
        places: where its parts are.
        choices: what the user chose beside it.
        pinned: the commit that the checkout should be at; None: any.

    Raises:
        UserError: a file that cannot be read.
    """
    said = description.model_dump(mode="json", exclude=_IRRELEVANT)
    parts = {"description": said, "choices": dict(choices), "checkpoints": places.fingerprint}
    parts["files"] = {name: _digest(path) for name, path in _files(description, places).items()}
    if places.environment is not None and (versions := places.environment / VERSIONS).is_file():
        parts["versions"] = _digest(versions)
    commit = warning = ""
    if places.repo is not None:
        commit, parts["changes"] = _commit(places.repo)
        if pinned and not commit.startswith(pinned[:40]):
            warning = f"{description.name}: {places.repo} is at {commit or 'no commit'}, expected {pinned}"
        commit += "+changes" if parts["changes"] else ""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
    short = commit[:12] + commit[40:]
    return Version(f"{short} {digest}".strip(), commit, warning)


def warn(version: Version) -> None:
    """Say on standard error what is not as it should be."""
    if version.warning:
        print(f"warning: {version.warning}; this is recorded with the run", file=sys.stderr, flush=True)


def _files(description: CommandDescription, places: Places) -> dict[str, Path]:
    """Name to path of the files whose content counts: those listed, and scripts below {here} in the command."""
    named = {name: places.here / name for name in description.revision.files}
    words = {word for step in description.steps for word in step}
    for word in sorted(word for word in words if placeholders(word) == {"here"}):
        path = Path(fill(word, {"here": str(places.here)}))
        if path.is_file():
            named[word] = path
    return named


def _digest(path: Path) -> str:
    """sha256 of a file; of a folder, of the names and contents of its files."""
    digest = hashlib.sha256()
    for file in _below(path):
        digest.update(f"{file.relative_to(path)}\0".encode(errors="surrogateescape"))
        try:
            with open_file(file) as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror}); correct revision.files") from error
    return digest.hexdigest()


def _below(path: Path) -> Iterable[Path]:
    if not is_folder(path):
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def _commit(repo: Path) -> tuple[str, str]:
    """Commit of a checkout and a digest of the changes to its tracked files; both empty where it is none."""
    head = _git(repo, "rev-parse", "HEAD")
    top = _git(repo, "rev-parse", "--show-toplevel")
    if head is None or top is None or not Path(top.strip()).samefile(repo):
        return "", ""
    changes = _git(repo, "diff", "HEAD", "--no-ext-diff", "--binary")
    return head.strip(), hashlib.sha256(
        changes.encode("utf-8", "surrogateescape")
    ).hexdigest() if changes else ""


def _git(repo: Path, *arguments: str) -> str | None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        done = subprocess.run(
            ["git", "-C", str(repo), *arguments], capture_output=True, timeout=60, env=env
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None
