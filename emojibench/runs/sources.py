"""Digests of what made a number beside data: our own sources, and the decoder of videos."""

import hashlib
import importlib.util
import os
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PACKAGES = ("emojibench", "emojibench_metrics", "fye_faster", "emojibench_baselines")


def sources() -> str:
    """Digest of the Python files of our packages as they are imported here; the same as `sources_of` their commit."""
    found = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            for file in Path(root).rglob("*.py"):
                data = file.read_bytes()
                blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # what git calls the file
                found.append(f"{package}/{file.relative_to(root).as_posix()} {blob}")
    return _digest(found)


def sources_of(repository: Path, commit: str) -> str | None:
    """The same digest of a commit; None where the repository does not have it."""
    listed = git(repository, "ls-tree", "-r", "--format=%(objectname) %(path)", commit)
    if listed is None:
        return None
    found = []
    for line in listed.splitlines():
        blob, _, path = line.partition(" ")
        parts = path.split("/")
        package = next((part for part in parts[:2] if part in PACKAGES), None)
        if package and path.endswith(".py"):
            found.append(f"{'/'.join(parts[parts.index(package) :])} {blob}")
    return _digest(found)


def decoder() -> dict[str, str]:
    """What decodes videos and pictures here: versions, and a digest of the files of PyAV's wheel, FFmpeg among them."""
    import av
    import cv2

    about = {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}
    about |= {"av": av.__version__, "opencv": cv2.__version__}
    try:
        record = distribution("av").read_text("RECORD") or ""
    except PackageNotFoundError:
        record = ""
    if lines := [line for line in record.splitlines() if ",sha256=" in line and ".pyc," not in line]:
        about["files"] = _digest(lines)
    return about


def git(repository: Path, *arguments: str) -> str | None:
    """What a git command prints; None where it fails or `repository` is not the root of one."""
    # An installed package inside somebody else's repository is not that repository.
    if not (repository / ".git").exists():
        return None
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
