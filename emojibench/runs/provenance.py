"""Where a run's numbers came from: provenance.json.

The newest start of the command is on top; what earlier starts recorded is kept under `earlier`.
"""

import platform
import shlex
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
from emojibench.runs import sources
from emojibench.runs.folder import RunFolder
from emojibench.runs.spec import RunSpec


class _Part(BaseModel):
    """The part of a file that is read; the rest is kept as it is."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Code(_Part):
    """Version of the code; None where it was installed without git."""

    commit: str | None
    dirty: bool | None
    sources: str | None = None
    """Digest of our Python files (`emojibench.runs.sources`); None in files of older versions."""


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
    weights: dict[str, str] = {}
    """Weight file to its sha256, or how that begins."""
    decoder: dict[str, str] = {}
    """What decodes videos; empty in files of older versions."""


class Provenance(Start):
    """The whole of provenance.json."""

    earlier: tuple[Start, ...] = ()
    """Earlier starts, the oldest first."""

    @property
    def starts(self) -> tuple[Start, ...]:
        """All of them, the newest first."""
        return (self, *reversed(self.earlier))

    @property
    def animated(self) -> Start:
        """The newest start that animated clips, else the newest."""
        return next((start for start in self.starts if start.stage == "animate"), self)

    def without_commands(self) -> dict[str, Any]:
        """Content of the file without command lines, which say how a machine is laid out."""
        content = self.model_dump(mode="json", exclude_unset=True)
        for start in (content, *content.get("earlier", ())):
            start.pop("command", None)
        return content


def write(
    folder: RunFolder,
    spec: RunSpec,
    *,
    stage: str,
    device: str,
    weights: Mapping[str, str],
    jobs: int,
    executor: str,
) -> None:
    """Record this start of the command.

    Args:
        folder: the locked run folder.
        spec: of the run.
        stage: what this start did: `animate` or `score`.
        device: what `device()` said in the worker that did it.
        weights: name to sha256 of the weight files that were read.
        jobs: number of worker processes.
        executor: its name.
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
        "decoder": sources.decoder(),
        "device": device,
        "platform": {
            "system": platform.platform(),
            "machine": platform.machine(),
            "cores": available_cores(),
            "jobs": jobs,
            "executor": executor,
            "python": platform.python_version(),
        },
        "packages": versions.packages(),
    }
    folder.write_json("provenance.json", now | {"earlier": _earlier(folder.path / "provenance.json")})


def code_version(root: Path) -> dict[str, str | bool | None]:
    """Git commit of the code (None: installed without git), whether files differ from it, and a digest of the files."""
    here = {"sources": sources.sources()}
    commit = sources.git(root, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None, **here}
    changed = sources.git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(changed), **here}


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


def _earlier(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    last = reading.read_json(file, advice="delete it and run the command again")
    earlier = last.pop("earlier", None)
    if not isinstance(earlier, list):
        raise UserError(f"{file}: earlier: expected a list; delete the file and run the command again")
    return [*earlier, last]
