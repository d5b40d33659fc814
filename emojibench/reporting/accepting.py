"""Accepting a measured run: a small copy of it becomes part of the leaderboard, and the baseline of gates."""

import json
import re
from pathlib import Path
from typing import Any

from emojibench.errors import UserError
from emojibench.reporting.load import FinishedRun, load_run

_PATH = re.compile(r"(?<![\w:/.])/(?:[^\s/'\",;:]+/)+")
"""The folders of an absolute path, but not of a URL."""


def copy_accepted(run: Path, out: Path) -> Path:
    """Copy spec, provenance, summary and rows of a finished run to `out`/accepted/<track>/<method>-<split>.

    Animations stay behind. Folders of absolute paths and the command line are left out, since they say how
    this machine is laid out and change no number.

    Raises:
        UserError: the run is unfinished, has failed clips, or another run is already accepted in its place.
    """
    source = load_run(run)
    _refuse_gaps(source)
    target = out / "accepted" / source.track / f"{source.spec.method}-{source.spec.split}"
    if target.exists():
        raise UserError(
            f"{target} is already accepted; delete that folder first if this run shall replace it"
        )
    spec = source.spec.model_dump(mode="json") | {"dataset_ref": source.spec.dataset}
    target.mkdir(parents=True)
    for name, content in (
        ("spec.json", spec),
        ("provenance.json", _without_commands(source.provenance)),
        ("summary.json", json.loads((run / "summary.json").read_text(encoding="utf-8"))),
    ):
        text = json.dumps(_without_folders(content), indent=2, ensure_ascii=False, allow_nan=False)
        (target / name).write_text(text + "\n", encoding="utf-8")
    _copy_rows(run / "rows.parquet", target / "rows.parquet")
    return target


def _refuse_gaps(run: FinishedRun) -> None:
    """A column may be unavailable or undefined on its clips, but nothing may have failed."""
    gaps = [f"clip {clip}: {reason}" for clip, reason in sorted(run.failed.items())]
    gaps += [f"{name}: {s.reason}" for name, s in run.summaries.items() if s.status == "failed"]
    if gaps:
        raise UserError(f"{run.path}: only whole runs can be accepted; {len(gaps)} failed, first {gaps[0]}")


def _without_commands(provenance: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in provenance.items() if key != "command"}
    return kept | {"earlier": [_without_commands(start) for start in provenance.get("earlier", [])]}


def _without_folders(content: Any) -> Any:
    """The same JSON with every absolute path cut to its last part."""
    if isinstance(content, dict):
        return {key: _without_folders(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_folders(value) for value in content]
    return _PATH.sub("", content) if isinstance(content, str) else content


def _copy_rows(source: Path, target: Path) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    rows = parquet.read_table(source)
    clean = [_without_folders(row) for row in rows.to_pylist()]
    parquet.write_table(pyarrow.Table.from_pylist(clean, schema=rows.schema), target, compression="zstd")
