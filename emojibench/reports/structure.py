"""Pages as plain data, for `emojibench report --json`."""

from typing import Any

from emojibench.reports.tables import Track


def track_data(track: Track) -> dict[str, Any]:
    """Everything the page shows, unrounded."""
    spec = track.runs[0].spec
    return {
        "track": track.name,
        "dataset": {"name": spec.dataset, "version": spec.dataset_version, "digest": spec.dataset_digest},
        "protocol": spec.protocol.model_dump(mode="json") | {"id": spec.protocol.id},
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
                        "code": run.provenance["code"],
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
