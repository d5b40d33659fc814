"""The checks of a row: each yields what does not agree, or raises `UncheckedError`. None needs frames or a GPU."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emojibench_metrics.cost import LATENCY, TRAITS, stage_latency
from emojibench_metrics.interface import Traits

from emojibench import registry
from emojibench.dataset import load_dataset
from emojibench.errors import UnavailableError, UserError
from emojibench.reports.receipts import receipt as receipts
from emojibench.reports.receipts.parts import Finding, Parts, UncheckedError, is_embedded
from emojibench.reports.receipts.receipt import FILES, RECEIPT
from emojibench.runs import scoring, sources
from emojibench.runs.columns import DRIVING
from emojibench.runs.spec import clip_seed
from emojibench.runs.summarise import of_clips
from emojibench.weights import TABLE

Check = Callable[[Parts], Iterator[Finding]]
_ROWS, _SUMMARY, _SPEC, _PROVENANCE = "rows.parquet", "summary.json", "spec.json", "provenance.json"
_AGGREGATED = ("mean", "low", "high", "median", "n_clips", "expected", "coverage", "lost", "status", "reason")
_NEWER = ("median", "coverage", "lost")
"""Of these, what summaries of older versions lack."""


def files(parts: Parts) -> Iterator[Finding]:
    """Are the files those of the receipt, byte for byte?"""
    if not parts.has_receipt and not parts.is_run and parts.provenance.decoder:
        yield Finding(RECEIPT, "content", "a receipt, since the run is of 0.3 or later", "no such file")
    wanted = parts.receipt.files
    there = {entry.name for entry in parts.path.iterdir()} - {RECEIPT}
    for name in FILES:
        if name not in there:
            yield Finding(name, "sha256", wanted.get(name, "none"), "no such file")
        elif (found := receipts.file_digest(parts.path / name)) != wanted.get(name):
            yield Finding(name, "sha256", wanted.get(name, "none"), found)
    if not parts.is_run:
        yield from (
            Finding(name, "the folder", "no other file", "this one") for name in sorted(there - {*FILES})
        )


def readable(parts: Parts) -> Iterator[Finding]:
    """Can all files be read?"""
    parts.read_all()
    yield from parts.broken


def statements(parts: Parts) -> Iterator[Finding]:
    """Do spec, provenance, summary and receipt tell of one run?"""
    spec, summary = parts.spec, parts.summary
    wanted: dict[str, Any] = {
        "method": spec.method, "split": spec.split, "revision": spec.revision, "dataset.name": spec.dataset,
        "dataset.version": spec.dataset_version, "dataset.digest": spec.dataset_digest, "protocol": spec.protocol.id,
        "clips.expected": len(spec.clips),
    }  # fmt: skip
    yield from _fields(_SUMMARY, wanted, summary.model_dump())
    said = parts.provenance.model_dump()
    wanted = {
        "method.name": spec.method, "method.revision": spec.revision, "dataset.digest": spec.dataset_digest,
        "protocol": spec.protocol.id, "seed": spec.seed,
    }  # fmt: skip
    yield from _fields(_PROVENANCE, {k: v for k, v in wanted.items() if k.split(".")[0] in said}, said)
    if not parts.has_receipt:
        return
    track = f"{spec.dataset}-{spec.dataset_digest[:6]}-{spec.protocol.id}"
    wanted = {
        "track": track, "row": receipts.row_name(spec), "method": spec.method, "method_revision": spec.revision,
        "options": spec.options, "seed": spec.seed, "protocol": spec.protocol.id, "dataset.digest": spec.dataset_digest,
        "dataset.name": spec.dataset, "dataset.version": spec.dataset_version,
        **{key: _plain(value) for key, value in receipts.origin(parts.provenance).items()},
    }  # fmt: skip
    yield from _fields(RECEIPT, wanted, parts.receipt.model_dump())


def place(parts: Parts) -> Iterator[Finding]:
    """Does the row lie where its spec belongs?"""
    spec, folder = parts.spec, parts.path.resolve()
    if parts.is_run or folder.parent.parent.name != "accepted":
        raise UncheckedError("not in a leaderboard's folder `accepted`")
    track = f"{spec.dataset}-{spec.dataset_digest[:6]}-{spec.protocol.id}"
    name = receipts.row_name(spec) if parts.has_receipt else f"{spec.method}-{spec.split}"
    for what, wanted, found in (
        ("name of the folder above", track, folder.parent.name),
        ("name of the row's folder", name, folder.name),
    ):
        if wanted != found:
            yield Finding(_SPEC, what, found, wanted)


def clips(parts: Parts) -> Iterator[Finding]:
    """Does every clip of the spec have its rows, and no other?"""
    wanted = dict.fromkeys(parts.spec.clips)
    if not wanted:
        yield Finding(_SPEC, "clips", "one or more", "none")
    seen = Counter((row["clip_id"], row["metric"]) for row in parts.contents)
    counts = Counter(clip for clip, _ in seen)
    for clip in wanted:
        if not counts[clip]:
            yield Finding(_ROWS, f"clip {clip}", "its rows, since spec.json lists it", "none")
    for clip in counts.keys() - wanted.keys():
        yield Finding(_ROWS, f"clip {clip}", "none, since spec.json does not list it", f"{counts[clip]} rows")
    for (clip, metric), count in seen.items():
        if count > 1:
            yield Finding(_ROWS, f"clip {clip}, {metric}", "one row", f"{count} rows")
    if parts.has_receipt:
        held = parts.receipt.clips
        yield from (Finding(RECEIPT, f"clip {c}", "its digests", "none") for c in wanted if c not in held)
        yield from (
            Finding(RECEIPT, f"clip {c}", "none, since spec.json does not list it", "its digests")
            for c in held
            if c not in wanted
        )
        failed = parts.summary.clips.failed
        for clip, about in held.items():
            if (about.frames is None) != (clip in failed):
                states = ("a digest", "none, since the method failed")
                yield Finding(RECEIPT, f"clip {clip}, frames", *(states[::-1] if clip in failed else states))


def values(parts: Parts) -> Iterator[Finding]:
    """Are the values those of the receipt? Where they are not, digests of clips and of columns tell which."""
    receipt, (by_clip, by_column) = parts.receipt, receipts.digests(parts.contents)
    columns = [name for name, digest in receipt.columns.items() if by_column.get(name) != digest]
    columns += [name for name in by_column if name not in receipt.columns]
    named = f", column {', '.join(columns)}" if columns else ""
    for clip, about in receipt.clips.items():
        if (found := by_clip.get(clip, receipts.digest([]))) != about.values:
            yield Finding(_ROWS, f"values of clip {clip}{named}", f"digest {about.values}", found)


def aggregates(parts: Parts) -> Iterator[Finding]:
    """Do the rows give the summary? Means and intervals are computed again."""
    spec, summary, rows = parts.spec, parts.summary, parts.rows
    if not spec.clips:
        raise UncheckedError("spec.json lists no clips")
    known = _traits(parts)
    for name in rows.keys() - summary.metrics.keys():
        yield Finding(_SUMMARY, name, "a summary of its rows", "none")
    for name, found in summary.metrics.items():
        if found.kind == "set":
            continue
        traits = known.get(name)
        if traits is None:  # of a plug-in, in a run of an older version
            traits = Traits(name, found.better, found.unit, (-math.inf, math.inf), "")
        again = of_clips(
            traits, [rows.get(name, {})[c] for c in spec.clips if c in rows.get(name, {})], len(spec.clips)
        )
        for field in _AGGREGATED:
            wanted, got = getattr(again, field), getattr(found, field)
            if not _equal(wanted, got) and not (field in _NEWER and got is None):
                yield Finding(
                    _SUMMARY, f"{name}, {field}", f"{_short(wanted)} as the rows give it", _short(got)
                )


def sets(parts: Parts) -> Iterator[Finding]:
    """Are values of the whole set, which no row of a clip holds, those of the receipt?"""
    receipt = parts.receipt
    there = {name: column for name, column in parts.summary.metrics.items() if column.kind == "set"}
    for name in sorted(there.keys() | receipt.sets.keys()):
        column, said = there.get(name), receipt.sets.get(name)
        wanted = (said.value, said.clips) if said else ("none", 0)
        found = (column.mean, column.n_clips) if column else ("none", 0)
        if wanted != found:
            form = "{} of {} clips"
            yield Finding(_SUMMARY, name, form.format(*wanted), form.format(*found))


def inputs(parts: Parts) -> Iterator[Finding]:
    """Does every value name, as what it was computed from, the frames, dataset and protocol of the receipt?"""
    spec, receipt, rows = parts.spec, parts.receipt, parts.rows
    frames = {clip: about.frames or "" for clip, about in receipt.clips.items()}
    for (name, columns), clip in ((m, clip) for m in _metrics(parts).items() for clip in spec.clips):
        if clip in frames:
            key = scoring.inputs(spec, clip, name, columns, frames=frames[clip])
            yield from _stale(rows, clip, columns, key)
    for clip, shown in frames.items():
        yield from _stale(rows, clip, [LATENCY.name], shown[:16])
        for traits in DRIVING:
            driving = scoring.inputs(spec, clip, "motion", {traits.name: _version(parts, traits)})
            yield from _stale(rows, clip, [traits.name], driving)
    for name, columns in _metrics(parts).items():
        for column in columns:
            if (held := receipt.sets.get(column)) and held.inputs:
                members = {
                    clip: scoring.inputs(spec, clip, name, columns, frames=frames[clip])
                    for clip in spec.clips
                    if frames.get(clip) and any(clip not in rows.get(each, {}) for each in columns)
                }
                if (key := scoring.set_inputs(members)) != held.inputs:
                    yield Finding(RECEIPT, f"{column}, inputs", key, held.inputs)


def seeds(parts: Parts) -> Iterator[Finding]:
    """Was every clip animated with the seed that follows from the run's?"""
    if parts.spec.source == "predictions":
        raise UncheckedError("finished videos have no seed")
    for clip, about in parts.receipt.clips.items():
        wanted = clip_seed(parts.spec.seed, clip) if about.frames else None
        if about.seed != wanted:
            yield Finding(RECEIPT, f"clip {clip}, seed", str(wanted), str(about.seed))


def weights(parts: Parts) -> Iterator[Finding]:
    """Are weights that the registry knows the official files?"""
    for name, found in parts.receipt.weights.items():
        kind, _, wanted = TABLE[name].digest.partition(":") if name in TABLE else ("", "", "")
        if kind == "sha256" and not (found.startswith(wanted) or wanted.startswith(found)):
            yield Finding(RECEIPT, f"weights {name}", wanted, found)


def dataset(parts: Parts) -> Iterator[Finding]:
    """Is the dataset of this name, as it is here, the one that was measured?"""
    spec = parts.spec
    ref = parts.dataset or spec.dataset
    if parts.dataset is None and not is_embedded(spec.dataset):
        raise UncheckedError(f"{spec.dataset} is not built in; --dataset DIR says where it is")
    try:
        here = load_dataset(ref, size=spec.protocol.size if is_embedded(ref) else None)
    except (UserError, UnavailableError) as error:
        raise UncheckedError(str(error)) from error
    if here.digest != spec.dataset_digest:
        yield Finding(_SPEC, "dataset_digest", f"{here.digest} as {ref} is here", spec.dataset_digest)


def code(parts: Parts) -> Iterator[Finding]:
    """Are the sources those of the commit?"""
    root = Path(sources.__file__).parents[2]
    unknown = []
    for stage, about in parts.receipt.code.items():
        if about.sources is None or about.commit is None:
            unknown.append(f"{stage}: the run does not say")
        elif about.dirty:
            unknown.append(f"{stage}: made with changes that are in no commit")
        elif (wanted := sources.sources_of(root, about.commit)) is None:
            unknown.append(f"{stage}: commit {about.commit[:10]} is not in a repository here")
        elif wanted != about.sources:
            yield Finding(
                RECEIPT,
                f"code of {stage}, sources",
                f"{wanted} as commit {about.commit[:10]} has them",
                about.sources,
            )
    if unknown:
        raise UncheckedError("; ".join(unknown))


CHECKS: Mapping[str, Check] = {
    "every file can be read": readable,
    "files are those of the receipt": files,
    "spec, provenance, summary and receipt tell of one run": statements,
    "the row lies where it belongs": place,
    "every clip has its rows, and no other": clips,
    "values are those of the receipt": values,
    "means and intervals follow from the rows": aggregates,
    "values of whole sets are those of the receipt": sets,
    "values were computed from the receipt's frames": inputs,
    "seeds of clips follow from the run's": seeds,
    "weights are the official files": weights,
    "the dataset is the one that is here": dataset,
    "sources are those of the commit": code,
}  # fmt: skip
"""What is checked, and how."""


def _fields(file: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in wanted.items():
        got: Any = found
        for key in name.split("."):
            got = got.get(key) if isinstance(got, Mapping) else None
        if got != value:
            yield Finding(file, name, _short(value), _short(got))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.model_dump() if hasattr(value, "model_dump") else value


def _stale(rows: Mapping[str, Mapping[str, Any]], clip: str, columns: Any, key: str) -> Iterator[Finding]:
    for column in columns:
        row = rows.get(column, {}).get(clip)
        if row is not None and row.status in scoring.FINISHED and row.inputs != key:
            yield Finding(_ROWS, f"clip {clip}, {column}, inputs", key, row.inputs or "none")


def _version(parts: Parts, traits: Traits) -> int:
    """Of a column that no metric has, when the run was scored."""
    column = parts.summary.metrics.get(traits.name)
    return traits.version if column is None or column.version is None else column.version


def _metrics(parts: Parts) -> dict[str, dict[str, int]]:
    """Metric to its columns and their versions in the run, for those that are installed and have these columns."""
    own = {column.name: column for column in parts.spec.columns}
    found = {}
    for name, factory in registry.usable(registry.METRICS).items():
        columns = [traits.name for traits in factory.traits]
        if name in parts.spec.metrics and all(c in own and not own[c].kept for c in columns):
            found[name] = {c: own[c].version for c in columns}
    return found


def _traits(parts: Parts) -> dict[str, Traits]:
    own = [column.traits for column in parts.spec.columns]
    if not own:
        own = [t for factory in registry.usable(registry.METRICS).values() for t in factory.traits]
    stages = [
        stage_latency(stage[1])
        for name in parts.summary.metrics
        if (stage := re.fullmatch(r"latency_([^\W\d]\w*)_s", name))
    ]
    return {traits.name: traits for traits in (*own, *stages, *TRAITS, *DRIVING)}


def _equal(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, float) and isinstance(found, float):
        return math.isclose(wanted, found, rel_tol=1e-9, abs_tol=1e-12)
    return bool(wanted == found)


def _short(value: Any) -> str:
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
