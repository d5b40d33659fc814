"""Ways of tampering with an accepted row, and what `verify` has to say about each."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from emojibench.reports.receipts.receipt import FILES, RECEIPT, digests, file_digest, read, text_of
from emojibench.reports.receipts.verifying import verify
from emojibench.reports.rows import rows_of

Tamper = Callable[[Path], None]


def edit(file: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def rewrite(row: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    table = parquet.read_table(row / "rows.parquet")
    rows = change(table.to_pylist())
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=table.schema), row / "rows.parquet")


def better(rows: list[dict[str, Any]], clip: str = "b", by: float = 0.9) -> list[dict[str, Any]]:
    for each in rows:
        if (each["clip_id"], each["metric"]) == (clip, "fake_l1"):
            each["value"] *= by
    return rows


def forged(row: Path, *, receipt: bool = True) -> None:
    """A better value in the rows, the summary and the file digests; with `receipt`, in all that the receipt says."""
    rewrite(row, better)
    rows = rows_of(row / "rows.parquet", frames=True)
    values = [each["value"] for each in rows if each["metric"] == "fake_l1"]
    (again,) = [f for f in verify(row).findings if f.what == "fake_l1, mean"]
    edit(row / "summary.json", lambda s: s["metrics"]["fake_l1"].update(mean=sum(values) / len(values)))
    for finding in verify(row).findings:
        if finding.what.startswith("fake_l1, ") and finding.file == "summary.json":
            field = finding.what.removeprefix("fake_l1, ")
            value = float(finding.expected.split()[0])
            edit(row / "summary.json", lambda s, f=field, v=value: s["metrics"]["fake_l1"].update({f: v}))
    assert again.found != again.expected
    said = read(row)
    assert said is not None
    update: dict[str, Any] = {"files": {name: file_digest(row / name) for name in FILES}}
    if receipt:
        clips, columns = digests(rows)
        update["columns"] = columns
        update["clips"] = {c: a.model_copy(update={"values": clips[c]}) for c, a in said.clips.items()}
    (row / RECEIPT).write_text(text_of(said.model_copy(update=update)))


def flipped(row: Path) -> None:
    data = bytearray((row / "rows.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (row / "rows.parquet").write_bytes(data)


def swapped(row: Path, runs: Path) -> None:
    """The values of another run, with everything else as it was."""
    shutil.copy(runs / "b" / "rows.parquet", row / "rows.parquet")


TAMPERED: dict[str, tuple[Tamper, tuple[str, ...]]] = {
    "flipped byte": (flipped, ("rows.parquet, sha256: expected",)),
    "changed value": (
        lambda row: rewrite(row, better),
        ("rows.parquet, values of clip b, column fake_l1", "summary.json, fake_l1, mean: expected"),
    ),
    "changed value, forged digests of files": (
        lambda row: forged(row, receipt=False),
        ("rows.parquet, values of clip b, column fake_l1: expected digest",),
    ),
    "changed value, forged receipt": (forged, ("ledger.jsonl, digest of the row, revision 1: expected",)),
    "changed summary": (
        lambda row: edit(row / "summary.json", lambda s: s["metrics"]["fake_l1"].update(mean=0.001)),
        ("summary.json, sha256", "summary.json, fake_l1, mean: expected"),
    ),
    "changed value of a set": (
        lambda row: edit(row / "summary.json", lambda s: s["metrics"]["fake_set"].update(mean=0.5)),
        ("summary.json, fake_set: expected",),
    ),
    "changed seed": (
        lambda row: edit(row / "spec.json", lambda spec: spec.update(seed=7)),
        ("receipt.json, seed: expected 7, found 0", "receipt.json, clip a, seed: expected"),
    ),
    "changed dataset": (
        lambda row: edit(row / "spec.json", lambda spec: spec.update(dataset_digest="e" * 64)),
        ("summary.json, dataset.digest: expected eee", "rows.parquet, clip a, fake_l1, inputs: expected"),
    ),
    "changed commit": (
        lambda row: edit(row / "provenance.json", lambda p: p["code"].update(commit="0" * 40)),
        ("provenance.json, sha256", "receipt.json, code: expected"),
    ),
    "changed digest of frames": (
        lambda row: edit(row / RECEIPT, lambda r: r["clips"]["a"].update(frames="0" * 64)),
        ("rows.parquet, clip a, latency_s, inputs: expected 0000000000000000, found",),
    ),
    "removed clip": (
        lambda row: rewrite(row, lambda rows: [each for each in rows if each["clip_id"] != "b"]),
        ("rows.parquet, clip b: expected its rows, since spec.json lists it, found none",),
    ),
    "added clip": (
        lambda row: rewrite(row, lambda rows: [*rows, {**rows[0], "clip_id": "z"}]),
        ("rows.parquet, clip z: expected none, since spec.json does not list it, found 1 rows",),
    ),
    "added row": (
        lambda row: rewrite(row, lambda rows: [*rows, rows[0]]),
        ("expected one row, found 2 rows",),
    ),
    "no clips": (
        lambda row: edit(row / "spec.json", lambda spec: spec.update(clips=[])),
        ("spec.json, clips: expected one or more, found none", "rows.parquet, clip a: expected none"),
    ),
    "value that is none": (
        lambda row: rewrite(row, lambda rows: [{**each, "value": float("nan")} for each in rows]),
        ("rows.parquet, content: expected a file that can be read, found row 1 (clip a, ",),
    ),
    "status that is none": (
        lambda row: rewrite(row, lambda rows: [{**each, "status": "fine"} for each in rows]),
        ("rows.parquet, content: expected a file that can be read, found row 1: status: Input should be",),
    ),
    "missing file": (
        lambda row: (row / "provenance.json").unlink(),
        ("provenance.json, content: expected a file that can be read, found no such file",),
    ),
    "damaged receipt": (lambda row: (row / RECEIPT).write_text("{"), ("receipt.json, content: expected",)),
    "removed receipt": (
        lambda row: (row / RECEIPT).unlink(),
        ("receipt.json, content: expected a receipt, since the run is of 0.3 or later", "ledger.jsonl"),
    ),
    "other file": (
        lambda row: (row / "notes.txt").write_text("hello"),
        ("notes.txt, the folder: expected no other file",),
    ),
    "another method's folder": (
        lambda row: row.rename(row.with_name("other-self")) / "x",
        ("spec.json, name of the row's folder: expected other-self, found fake-self",),
    ),
}  # fmt: skip
