"""Where a run's numbers came from: provenance.json.

The newest start of the command is on top; what earlier starts recorded is kept under `earlier`.
"""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from emojibench import versions
from emojibench.errors import UserError, plain
from emojibench.files import reading
from emojibench.parallel import available_cores
from emojibench.runs.folder import RunFolder
from emojibench.runs.spec import RunSpec


class _Part(BaseModel):
    """The part of a file that is read; the rest is kept as it is."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Code(_Part):
    """Version of the code; None where it was installed without git."""

    commit: str | None
    dirty: bool | None


class Platform(_Part):
    """The machine that a command ran on."""

    jobs: Annotated[int, Field(ge=1, strict=True)] = 1
    """Number of worker processes."""


class Start(_Part):
    """One start of the command."""

    stage: str = ""
    """What it did: `animate` or `score`."""
    code: Code
    device: str
    platform: Platform = Platform()


class Provenance(Start):
    """The whole of provenance.json."""

    earlier: tuple[Start, ...] = ()
    """Earlier starts, the oldest first."""

    @property
    def animated(self) -> Start:
        """The newest start that animated clips, else the newest."""
        starts = (self, *reversed(self.earlier))
        return next((start for start in starts if start.stage == "animate"), self)

    def without_commands(self) -> dict[str, Any]:
        """Content of the file without command lines, which say how a machine is laid out."""
        content = self.model_dump(mode="json", exclude_unset=True)
        for start in (content, *content.get("earlier", ())):
            start.pop("command", None)
        return content


def write(
    folder: RunFolder, spec: RunSpec, *, stage: str, device: str, weights: Mapping[str, str], jobs: int
) -> None:
    """Record this start of the command.

    Args:
        folder: the locked run folder.
        spec: of the run.
        stage: what this start did: `animate` or `score`.
        device: what `device()` said in the worker that did it.
        weights: name to sha256 of the weight files that were read.
        jobs: number of worker processes.
    """
    now: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "stage": stage,
        "command": plain(shlex.join(sys.argv)),
        "code": code_version(Path(__file__).parents[2]),
        "method": {"name": spec.method, "revision": spec.revision, "options": spec.options, **spec.about},
        "dataset": {"name": spec.dataset, "version": spec.dataset_version, "digest": spec.dataset_digest},
        "protocol": spec.protocol.id,
        "seed": spec.seed,
        "weights": dict(sorted(weights.items())),
        "device": device,
        "platform": {
            "system": platform.platform(),
            "machine": platform.machine(),
            "cores": available_cores(),
            "jobs": jobs,
            "python": platform.python_version(),
        },
        "packages": versions.packages(),
    }
    folder.write_json("provenance.json", now | {"earlier": _earlier(folder.path / "provenance.json")})


def code_version(root: Path) -> dict[str, str | bool | None]:
    """Git commit of the code and whether files differ from it; None where it was installed without git."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}


def device() -> str:
    """What this process computes on: the CUDA device if torch is loaded and sees one, else the processor."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}, {torch.cuda.device_count()} device(s)"
    return f"cpu: {_processor()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Hardware"):
                return value.strip()
    return platform.processor() or platform.machine()


def _git(root: Path, *arguments: str) -> str | None:
    if not (
        root / ".git"
    ).exists():  # an installed package inside somebody else's repository is not that repository
        return None
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _earlier(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    last = reading.read_json(file, advice="delete it and run the command again")
    earlier = last.pop("earlier", None)
    if not isinstance(earlier, list):
        raise UserError(f"{file}: earlier: expected a list; delete the file and run the command again")
    return [*earlier, last]
