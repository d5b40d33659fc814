"""Small hand-written run folders."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
import pytest

from emojibench.protocol import Protocol
from emojibench.protocol.statistics import clustered_bootstrap
from emojibench.runs.records import AnimationRecord, Row
from emojibench.runs.spec import RunSpec, clip_seed

CLIPS = ("c0", "c1", "c2", "c3")
Values = Mapping[str, Mapping[str, float | str] | float | str]
"""Column to values of clips (text: why there is none), to the value of a set, or to why it is unavailable."""
MakeRun = Callable[..., Path]
SCHEMA = pyarrow.schema(
    {name: pyarrow.string() for name in Row.model_fields}
    | {"value": pyarrow.float64(), "n": pyarrow.int64(), "total": pyarrow.int64()}
    | {"frames": pyarrow.list_(pyarrow.float32())}
)


ABOUT: dict[str, tuple[str, int, str]] = {
    "l1": ("lower", 3, "[0, 1]"),
    "ssim": ("higher", 3, ""),
    "lpips_alex": ("lower", 3, ""),
    "lpips_squeeze": ("lower", 3, ""),
    "fvd": ("lower", 1, ""),
    "id_sim": ("higher", 3, ""),
    "landmark_accuracy": ("higher", 1, "of 100"),
    "jitter": ("lower", 3, ""),
    "latency_s": ("lower", 2, "s"),
}
"""Column to better direction, decimals and unit; any other column has no direction."""


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a finished run folder and return its path."""

    def make(
        name: str,
        values: Values,
        *,
        method: str = "copy-reference",
        split: str = "self",
        clips: tuple[str, ...] = CLIPS,
        subjects: Mapping[str, str] | None = None,
        digest: str = "d1" * 32,
        detector: str = "mesh 1",
        revision: str = "1",
        seed: int = 0,
        root: Path | None = None,
        options: Mapping[str, str] | None = None,
        failed: Mapping[str, str] | None = None,
        finished: bool = True,
        jobs: int = 1,
        device: str = "cpu: test",
        lacking: Mapping[str, Mapping[str, str]] | None = None,
        versions: Mapping[str, int] | None = None,
        lost: Mapping[str, float] | None = None,
        scored_on: str = "",
        frames: Mapping[str, Mapping[str, Sequence[float | None]]] | None = None,
    ) -> Path:
        path = (root or tmp_path / "runs") / name
        path.mkdir(parents=True)
        spec = RunSpec(
            name=name, source="method", method=method, options=dict(options or {}), revision=revision,
            dataset_ref="/home/somebody/mini", dataset="mini", dataset_version="1", dataset_digest=digest,
            split=split, clips=clips, seed=seed, metrics=tuple(values),
            protocol=Protocol(detector=detector, metrics={"l1": 1}),
        )  # fmt: skip
        (path / "spec.json").write_text(spec.model_dump_json())
        provenance = {
            "started": "2026-01-01T00:00:00+00:00",
            "stage": "animate",
            "command": "emojibench run --out /home/somebody/runs",
            "code": {"commit": "0123456789abcdef", "dirty": False},
            "device": device,
            "platform": {"jobs": jobs},
            "earlier": [],
        }
        if scored_on:
            later = {"stage": "score", "device": scored_on, "platform": {"jobs": 7}, "earlier": [provenance]}
            provenance = provenance | later
        (path / "provenance.json").write_text(json.dumps(provenance))
        for clip in clips:
            record = AnimationRecord(
                clip_id=clip,
                status="failed" if clip in (failed or {}) else "ok",
                seed=clip_seed(seed, clip),
                digest=hashlib.sha256(f"{name} {clip}".encode()).hexdigest(),
            )
            (path / "animations" / clip).mkdir(parents=True)
            (path / "animations" / clip / "animation.json").write_text(record.model_dump_json())
        if finished:
            who = subjects or {clip: f"person {clip}" for clip in clips}
            _write_results(
                spec,
                path,
                values,
                clips,
                who,
                failed or {},
                versions or {},
                lost or {},
                frames or {},
                lacking or {},
            )
        return path

    return make


def _write_results(
    spec: RunSpec,
    path: Path,
    values: Values,
    clips: tuple[str, ...],
    who: Mapping[str, str],
    failed: Mapping[str, str],
    versions: Mapping[str, int],
    shares: Mapping[str, float],
    frames: Mapping[str, Mapping[str, Sequence[float | None]]],
    lacking: Mapping[str, Mapping[str, str]],
) -> None:
    rows: list[Row] = []
    views = {}
    for metric, content in values.items():
        better, decimals, unit = ABOUT.get(metric, ("none", 3, ""))
        about = {"better": better, "decimals": decimals, "unit": unit, "expected": len(clips)}
        about |= {"low": None, "high": None, "status": "ok", "reason": "", "kind": "clip"}
        about |= {"version": versions[metric]} if metric in versions else {}
        about |= {"lost": shares[metric]} if metric in shares else {}
        if isinstance(content, str):
            views[metric] = about | {"mean": None, "n_clips": 0, "status": "unavailable", "reason": content}
            rows += [_row(clip, who, metric, None, "unavailable", content) for clip in clips]
        elif isinstance(content, float):
            without = lacking.get(metric, {})
            views[metric] = about | {"mean": content, "n_clips": len(clips) - len(without), "kind": "set"}
            rows += [_row(clip, who, metric, None, "undefined", reason) for clip, reason in without.items()]
        else:
            numbers = {clip: value for clip, value in content.items() if not isinstance(value, str)}
            lost = {clip: reason for clip, reason in content.items() if isinstance(reason, str)}
            n = round(1000 * (1 - shares.get(metric, 0.0)))
            rows += [_row(clip, who, metric, value, "ok", "", n) for clip, value in numbers.items()]
            rows += [_row(clip, who, metric, None, "undefined", reason) for clip, reason in lost.items()]
            interval = clustered_bootstrap(list(numbers.values()), [who[clip] for clip in numbers])
            bounds = (interval.low, interval.high) if interval.defined else (None, None)
            views[metric] = about | {
                "mean": interval.mean,
                "low": bounds[0],
                "high": bounds[1],
                "n_clips": len(numbers),
                "reason": "; ".join(f"1 of {len(clips)}: {reason}" for reason in lost.values()),
            }
    known = [
        row.model_copy(update={"frames": tuple(frames.get(row.metric, {}).get(row.clip_id, ()))})
        for row in rows
    ]
    table = pyarrow.Table.from_pylist([row.model_dump() for row in known], schema=SCHEMA)
    parquet.write_table(table, path / "rows.parquet")
    animated = {"expected": len(clips), "animated": len(clips) - len(failed), "failed": dict(failed)}
    about_run = {
        "name": spec.name, "method": spec.method, "revision": spec.revision, "split": spec.split,
        "dataset": {"name": spec.dataset, "version": spec.dataset_version, "digest": spec.dataset_digest},
        "protocol": spec.protocol.id,
    }  # fmt: skip
    (path / "summary.json").write_text(json.dumps(about_run | {"clips": animated, "metrics": views}))


def _row(
    clip: str, who: Mapping[str, str], metric: str, value: float | None, status: str, reason: str, n: int = 0
) -> Row:
    return Row.model_validate(
        {
            "clip_id": clip,
            "subject": who[clip],
            "domain": "cartoon",
            "metric": metric,
            "value": value,
            "unit": "",
            "n": n,
            "total": 1000 if status == "ok" else None,
            "status": status,
            "reason": reason,
        }
    )
