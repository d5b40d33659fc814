"""A run as an aggregate record of Every Eval Ever (schema 0.3.0, https://github.com/evaleval/every_eval_ever)."""

import hashlib
import json
import math
import uuid
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath
from typing import Any

from emojibench_metrics.cost import TRAITS

from emojibench.protocol import AGGREGATION
from emojibench.reports.exporting.about import About, started
from emojibench.reports.load import FinishedRun
from emojibench.runs.summary import ColumnSummary

SCHEMA = "0.3.0"
RESAMPLES = 2000
"""Of the bootstrap behind an interval (`statistics.clustered_bootstrap`)."""


def written(
    run: FinishedRun, columns: Mapping[str, ColumnSummary], about: About
) -> tuple[str, PurePosixPath]:
    """The record, and its place in the datastore: `data/<collection>/<developer>/<model>/<uuid4>.json`.

    The same run gives the same record: its times are the run's, and its UUID comes from its content.
    """
    spec, time = run.spec, started(run)
    stamp = str(int(time.timestamp()))
    record = {
        "schema_version": SCHEMA,
        "evaluation_id": f"emojibench/{about.model}/{stamp}",
        "evaluation_timestamp": time.isoformat(),
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": "EmojiBench++",
            "source_type": "evaluation_run",
            "source_organization_name": about.organization,
            "evaluator_relationship": about.relationship,
        },
        "eval_library": {
            "name": "emojibench",
            "version": _version(),
            "additional_details": {"protocol": spec.protocol.id, "aggregation": AGGREGATION},
        },
        "model_info": {
            "name": run.summary.title,
            "id": about.model,
            "developer": about.model.partition("/")[0],
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "revision": spec.revision,
                "options": json.dumps(dict(spec.options), sort_keys=True),
                "seed": str(spec.seed),
                "device": run.animated.device,
            },
        },
        "evaluation_results": [_result(run, name, column, stamp) for name, column in columns.items()],
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    name = uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4)
    return text, PurePosixPath("data", "emojibench", *about.model.split("/"), f"{name}.json")


def _result(run: FinishedRun, name: str, column: ColumnSummary, stamp: str) -> dict[str, Any]:
    spec = run.spec
    score: dict[str, Any] = {"score": column.mean, "details": _details(column)}
    if column.low is not None and column.high is not None:
        score["uncertainty"] = {
            "confidence_interval": {
                "lower": column.low,
                "upper": column.high,
                "confidence_level": 0.95,
                "method": "bootstrap",
            },
            "num_samples": column.n_clips,
            "num_bootstrap_samples": RESAMPLES,
        }
    low, high = _range(run, name)
    return {
        "evaluation_result_id": f"{spec.dataset}/{spec.split}/{name}/{stamp}",
        "evaluation_name": f"{spec.dataset} {spec.split} {name}",
        "source_data": {
            "dataset_name": spec.dataset,
            "source_type": "other",
            "additional_details": {
                "version": spec.dataset_version,
                "digest": spec.dataset_digest,
                "split": spec.split,
                "presentation": spec.protocol.shape,
            },
        },
        "metric_config": {
            "evaluation_description": f"{name} of generated portrait videos, {spec.split} reenactment",
            "metric_id": f"emojibench.{name}",
            "metric_name": name,
            "metric_unit": column.unit or "none",
            "lower_is_better": column.better == "lower",
            "score_type": "continuous",
            "min_score": low,
            "max_score": high,
            "additional_details": {"version": str(column.version), "kind": column.kind},
        },
        "score_details": score,
    }


def _details(column: ColumnSummary) -> dict[str, str]:
    details = {"clips": str(column.n_clips), "expected_clips": str(column.expected)}
    details |= {"lost_frames": f"{column.lost:.6g}"} if column.lost else {}
    details |= {"reason": column.reason} if column.reason else {}
    return details | ({"note": column.note} if column.note else {})


def _range(run: FinishedRun, name: str) -> tuple[float | str, float | str]:
    """Bounds of the column, as the schema spells what has none."""
    known = {traits.name: traits for traits in TRAITS}
    known |= {column.name: column.traits for column in run.spec.columns}
    costs = (0.0, math.inf) if name.startswith("latency_") else (-math.inf, math.inf)
    low, high = known[name].valid_range if name in known else costs
    return ("-Infinity" if math.isinf(low) else low), ("Infinity" if math.isinf(high) else high)


def _version() -> str:
    try:
        return version("emojibench")
    except PackageNotFoundError:
        return "unknown"
