"""Pages as plain data, and pages written with their data beside them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emojibench.files.writing import write_text
from emojibench.reports.blocks import Block
from emojibench.reports.load import FinishedRun
from emojibench.reports.markdown import render
from emojibench.reports.tables import Track
from emojibench.runs.spec import RunSpec


def write_page(file: Path, blocks: Sequence[Block], data: dict[str, Any]) -> str:
    """Write a page as Markdown to `file` and its data to the JSON beside it; returns the Markdown.

    Raises:
        WriteError: a file cannot be written.
    """
    text = render(blocks)
    write_text(file, text)
    figures = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(file.with_suffix(".json"), figures + "\n")
    return text


def spec_data(spec: RunSpec) -> dict[str, Any]:
    """What runs of one track share."""
    return {
        "dataset": {"name": spec.dataset, "version": spec.dataset_version, "digest": spec.dataset_digest},
        "protocol": spec.protocol.model_dump(mode="json") | {"id": spec.protocol.id},
    }


def means_data(run: FinishedRun) -> dict[str, Any]:
    """Column name to its mean, interval and what it lacks, for columns that have one."""
    return {
        name: {
            "mean": s.mean,
            "low": s.low,
            "high": s.high,
            "clips": s.n_clips,
            "expected": s.expected,
            "kind": s.kind,
            "reason": s.reason,
            "lost": s.lost,
            "unit": s.unit,
        }
        for name, s in run.summaries.items()
        if s.mean is not None
    }


def track_data(track: Track) -> dict[str, Any]:
    """Everything the page shows, unrounded."""
    spec = track.runs[0].spec
    return {
        "track": track.name,
        **spec_data(spec),
        "rows": [
            {
                "label": entry.label,
                "partial": entry.partial,
                "runs": {
                    split: {
                        "name": run.spec.name,
                        "method": run.spec.method,
                        "revision": run.spec.revision,
                        "options": run.spec.options,
                        "seed": run.spec.seed,
                        "clips": len(run.spec.clips),
                        "receipt": run.receipt.revision if run.receipt else None,
                        "code": run.provenance.code.model_dump(),
                        "columns": {
                            name: summary.model_dump(mode="json")
                            | {"best": track.best.get((split, name)) == entry.label}
                            for name, summary in run.summaries.items()
                        },
                    }
                    for split, run in entry.runs.items()
                },
            }
            for entry in track.entries
        ],
    }
