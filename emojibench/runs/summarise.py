"""The last stage of a run: rows.jsonl as rows.parquet and summary.json. Needs neither frames nor a GPU."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from emojibench_metrics.cost import depends_on_device
from emojibench_metrics.interface import Traits

from emojibench.protocol.statistics import clustered_bootstrap
from emojibench.runs import columns, cost
from emojibench.runs.folder import RunFolder
from emojibench.runs.records import AnimationRecord, Row, Status
from emojibench.runs.scoring import SET
from emojibench.runs.summary import ClipCounts, ColumnSummary, DatasetName, Summary


def summarise(folder: RunFolder) -> Summary:
    """Write both views from what is on disk and return the summary.

    Every (clip, metric) counts once, by its last row. `mean`, `low` and `high` are over clips that have a
    value (95 % bootstrap, clustered by portrait), or `mean` is the single value of a set; `coverage` is the
    fraction of the expected clips that have one. `lost` is the share of their frames in which no face was
    found, so that `mean` is of the others (None: rows of an older version do not say). Latencies of warm-up
    clips are left out if there are others.

    Raises:
        UserError: the run folder is damaged or cannot be written.
    """
    spec = folder.spec()
    rows = folder.rows()
    records = [record for clip in spec.clips if (record := folder.animation(clip))]
    views: dict[str, ColumnSummary] = {}
    mixed = _mixed(records)
    per_clip: list[Row] = []
    for column in (*columns.filled_here((*cost.columns(records), *columns.DRIVING)), *spec.columns):
        traits, kind = column.traits, column.kind
        of_column = [
            rows[clip, traits.name].judged(traits) for clip in spec.clips if (clip, traits.name) in rows
        ]
        if kind == "set":
            total = rows.get((SET, traits.name))
            total = total and total.judged(traits)
            view = _of_set(traits, of_column, total, len(spec.clips))
            of_column = [
                row for row in of_column if row.status != "ok"
            ]  # its value is the set's, not the clip's
        else:
            view = of_clips(traits, of_column, len(spec.clips))
        told = [_amortised(of_column), mixed if depends_on_device(traits.name) else ""]
        note = columns.KEPT if column.kept else "; ".join(filter(None, told))
        views[traits.name] = view.model_copy(update={"note": note})
        per_clip += of_column
    failed = {record.clip_id: record.reason for record in records if record.status == "failed"}
    summary = Summary(
        name=spec.name,
        method=spec.method,
        label=spec.about.get("label", ""),
        revision=spec.revision,
        split=spec.split,
        dataset=DatasetName(name=spec.dataset, version=spec.dataset_version, digest=spec.dataset_digest),
        protocol=spec.protocol.id,
        size=spec.protocol.size,
        frames=spec.protocol.frames,
        clips=ClipCounts(expected=len(spec.clips), animated=len(records) - len(failed), failed=failed),
        metrics=views,
    )
    _write_parquet(folder, sorted(per_clip, key=lambda row: spec.clips.index(row.clip_id)))
    folder.write_json("summary.json", summary.model_dump(mode="json"))
    return summary


def _mixed(records: Sequence[AnimationRecord]) -> str:
    """What is to be said of costs of clips that were made on different devices."""
    devices = Counter(record.device for record in records if record.device)
    if len(devices) < 2:
        return ""
    shares = (f"{count} clips on {device}" for device, count in devices.most_common())
    return f"{cost.MIXED}: {', '.join(shares)}"


def _amortised(rows: Sequence[Row]) -> str:
    """What is to be said of latencies of clips that were made several at a time."""
    return next((row.note for row in rows if row.note.startswith(cost.AMORTISED)), "")


def of_clips(traits: Traits, rows: Sequence[Row], expected: int) -> ColumnSummary:
    """The summary of a column of clips, from its rows of some of a run's clips.

    Args:
        traits: of the column.
        rows: those of the column, at most one for each clip.
        expected: how many clips there are.
    """
    measured = [row for row in rows if row.status == "ok" and row.value is not None]
    counted = [row for row in measured if row.note != cost.WARM_UP] or measured
    values = [row.value for row in counted if row.value is not None]
    mean = low = high = median = None
    if values:
        interval = clustered_bootstrap(values, [row.subject for row in counted])
        # A mean cannot leave the metric's range; the bootstrap's Student stretch does not know that.
        floor, ceiling = traits.valid_range
        mean, low, high = (
            interval.mean,
            _finite(max(interval.low, floor)),
            _finite(min(interval.high, ceiling)),
        )
        median = statistics.median(values)
    status, reason = _verdict(rows, len(measured), expected)
    return ColumnSummary(
        mean=mean, low=low, high=high, median=median,
        n_clips=len(values), expected=expected, coverage=len(measured) / expected, lost=_lost(rows),
        status=status, reason=reason, kind="clip",
        unit=traits.unit, better=traits.better, decimals=traits.decimals, version=traits.version,
    )  # fmt: skip


def _of_set(traits: Traits, rows: Sequence[Row], total: Row | None, expected: int) -> ColumnSummary:
    members = sum(row.status == "ok" for row in rows)
    status: Status
    if members and total is not None and total.status == "ok":
        status, reason = _verdict(rows, members, expected)
        value, n = total.value, total.n
    elif members:
        status, reason = (
            (total.status, total.reason) if total else ("failed", "not aggregated yet; score again")
        )
        value, n = None, 0
    else:
        (status, reason), value, n = _verdict(rows, 0, expected), None, 0
    return ColumnSummary(
        mean=value, low=None, high=None, n_clips=n, expected=expected, coverage=n / expected, lost=0.0,
        status=status, reason=reason, kind="set",
        unit=traits.unit, better=traits.better, decimals=traits.decimals, version=traits.version,
    )  # fmt: skip


def _lost(rows: Sequence[Row]) -> float | None:
    """Share of frames that did not survive, over all clips whose rows say so."""
    if any(row.status == "ok" and row.total is None for row in rows):
        return None
    counted = [(row.n, row.total) for row in rows if row.total is not None]
    total = sum(total for _, total in counted)
    return max(0.0, 1 - sum(n for n, _ in counted) / total) if total else 0.0


def _verdict(rows: Iterable[Row], measured: int, expected: int) -> tuple[Status, str]:
    """Status of a column, and why values are missing: the most frequent reasons with their counts."""
    missing = Counter((row.status, row.reason) for row in rows if row.status != "ok")
    unseen = expected - measured - missing.total()
    if unseen:
        missing["failed", "not scored yet"] = unseen
    if not missing:
        return "ok", ""
    several = len(missing) > 1 or measured
    reasons = [
        f"{count} of {expected}: {reason}" if several else reason
        for (_, reason), count in missing.most_common(3)
    ]
    return ("ok" if measured else missing.most_common(1)[0][0][0]), "; ".join(reasons)


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None


def _write_parquet(folder: RunFolder, rows: Sequence[Row]) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    text = pyarrow.string()
    schema = pyarrow.schema(
        {
            "clip_id": text, "subject": text, "domain": text, "metric": text, "value": pyarrow.float64(),
            "unit": text, "n": pyarrow.int64(), "total": pyarrow.int64(), "status": text, "reason": text,
            "note": text, "inputs": text, "frames": pyarrow.list_(pyarrow.float32()),
        }
    )  # fmt: skip
    table = pyarrow.Table.from_pylist([row.model_dump() for row in rows], schema=schema)
    # Opened here: the library takes no path whose bytes are not UTF-8.
    with folder.replacing("rows.parquet") as temporary, temporary.open("wb") as file:
        parquet.write_table(table, file, compression="zstd")
