"""Readers of run folders and of what commands keep beside them."""

import contextlib
import json
from pathlib import Path

import mutations
import numpy as np
from reader import Parser, Seeds

from emojibench.errors import UserError


def runs(files: Seeds) -> list[Parser]:
    import pyarrow
    import pyarrow.parquet as parquet

    from emojibench.files.reading import read_model
    from emojibench.fye.acceleration import fidelity, tracing
    from emojibench.protocol import Protocol
    from emojibench.reports import calibrating
    from emojibench.reports.gating import gate
    from emojibench.reports.load import load_run
    from emojibench.reports.markdown import render
    from emojibench.reports.pages import track_page
    from emojibench.reports.published import load_table
    from emojibench.reports.receipts import ledger
    from emojibench.reports.receipts.receipt import (
        FILES,
        RECEIPT,
        ClipReceipt,
        Receipt,
        digests,
        file_digest,
        origin,
        text_of,
    )
    from emojibench.reports.receipts.verifying import verify
    from emojibench.reports.rows import rows_of
    from emojibench.reports.tables import build_track
    from emojibench.runs import provenance as provenance_of
    from emojibench.runs.folder import RunFolder
    from emojibench.runs.records import AnimationRecord, Row
    from emojibench.runs.spec import RunSpec, clip_seed

    clips = ("a", "b")
    spec = RunSpec(
        name="run", source="method", method="copy-reference", revision="1", dataset_ref="mini", dataset="mini",
        dataset_version="1", dataset_digest="d1" * 32, split="self", clips=clips, seed=0, metrics=("l1",),
        protocol=Protocol(detector="mesh", metrics={"l1": 1}),
    )  # fmt: skip
    provenance = {
        "started": "2026-01-01T00:00:00+00:00", "stage": "animate", "command": "emojibench run", "device": "cpu: test",
        "code": {"commit": "0123456789abcdef", "dirty": False}, "platform": {"jobs": 1}, "earlier": [],
    }  # fmt: skip
    about = {
        "mean": 0.5, "low": 0.25, "high": 0.75, "n_clips": 2, "expected": 2, "status": "ok", "reason": "",
        "kind": "clip", "unit": "[0, 1]", "better": "lower", "decimals": 3, "lost": 0.0, "version": 1,
    }  # fmt: skip
    summary = {
        "schema_version": 1, "name": "run", "method": "copy-reference", "revision": "1", "split": "self",
        "dataset": {"name": "mini", "version": "1", "digest": "d1" * 32}, "protocol": spec.protocol.id,
        "size": spec.protocol.size, "frames": spec.protocol.frames,
        "clips": {"expected": 2, "animated": 2, "failed": {}}, "metrics": {"l1": about},
    }  # fmt: skip
    rows = [
        Row(
            clip_id=c,
            subject=c,
            domain="real",
            metric="l1",
            value=v,
            unit="",
            n=6,
            status="ok",
            inputs="x" * 12,
        )
        for c, v in zip(clips, (0.25, 0.75), strict=True)
    ]
    numbers = {"value": pyarrow.float64(), "n": pyarrow.int64(), "total": pyarrow.int64()}
    numbers["frames"] = pyarrow.list_(pyarrow.float32())
    schema = pyarrow.schema({name: numbers.get(name, pyarrow.string()) for name in Row.model_fields})
    table = pyarrow.Table.from_pylist([row.model_dump() for row in rows], schema=schema)
    record = AnimationRecord(clip_id="a", status="failed", reason="no face", digest="0" * 64)
    written = {
        "spec.json": spec.model_dump_json(indent=2),
        "provenance.json": json.dumps(provenance, indent=2),
        "summary.json": json.dumps(summary, indent=2),
        "rows.jsonl": "".join(row.model_dump_json() + "\n" for row in rows),
        "rows.parquet": lambda path: parquet.write_table(table, path, compression="zstd"),
    }
    run = {name: files.file("run", name, content) for name, content in written.items()}
    made = files.file("animation", "animation.json", record.model_dump_json(indent=2))
    distances = {"digests": ["d"], "subject": "a", "mse": [0.5, 0.25], "lpips": [0.1, 0.2]}
    kept = files.file("distances", "a.json", json.dumps(distances))
    arrays = {"key": "k", "latents": np.ones((2, 4, 8, 8), np.float32), "flops": np.ones(3), "frames_0": [0, 1],
              "window_0": np.ones((3, 4, 2, 8, 8), np.float32)}  # fmt: skip
    trace = files.file("traces", "a.npz", lambda path: np.savez(path, **arrays))
    sound = load_run(run["spec.json"].parent)

    def page(path: Path) -> None:
        found = load_run(path.parent)
        render(track_page(build_track(found.track, [found]), load_table(1))).encode()
        for baseline, run in ((sound.path, found.path), (found.path, sound.path)):
            with contextlib.suppress(UserError):  # not comparable
                gate(baseline, run)

    def verified(path: Path) -> None:
        render(verify(path.parent).blocks()).encode()

    def continued(path: Path) -> None:
        folder = RunFolder(path.parent)
        folder.spec().conflicts(spec)
        folder._summarised()
        provenance_of._earlier(path.parent / "provenance.json")

    row = {name: files.file("row", name, written[name]) for name in FILES}
    values, columns = digests(rows_of(row["rows.parquet"], frames=True))
    receipt = Receipt(
        track=sound.track, row="copy-reference-self", method="copy-reference", method_revision="1", options={}, seed=0,
        dataset=sound.summary.dataset, protocol=spec.protocol.id, **origin(sound.provenance), columns=columns, sets={},
        clips={c: ClipReceipt(frames="0" * 64, video=None, seed=clip_seed(0, c), values=values[c]) for c in clips},
        files={name: file_digest(row[name]) for name in FILES},
    )  # fmt: skip
    row[RECEIPT] = files.file("row", RECEIPT, text_of(receipt))
    line = ledger.Entry(row="a/b", digest="0" * 64).model_dump_json() + "\n"
    entries = files.file("accepted", ledger.LEDGER, line)
    subject = calibrating.Subject(
        method="copy-reference", revision="1", dataset="mini", dataset_digest="d1" * 32, split="self",
        protocol=spec.protocol.id, clips=2, clips_digest=calibrating._clips_digest(clips), seeds=(0, 1, 2),
    )  # fmt: skip
    column = calibrating.Calibrated(tolerance=0.1, mean=0.5, spread=0.01, runs=3)
    calibration = calibrating.Calibration(false_alarms=0.05, varying=1, of=subject, columns={"l1": column})
    tolerances = files.file(
        "calibration", "tolerances.yaml", lambda path: calibrating.write_file(calibration, path)
    )

    return [
        *(Parser(f"{name}, verified", (file,), verified) for name, file in row.items()),
        Parser("ledger of accepted rows", (entries,), lambda path: list(ledger.findings(path.parent))),
        Parser(
            "calibrated tolerances",
            (tolerances,),
            lambda path: gate(sound.path, sound.path, calibration=path),
        ),
        *(
            Parser(name, (run[name],), page)
            for name in ("spec.json", "provenance.json", "summary.json", "rows.parquet")
        ),
        *(
            Parser(f"{name}, continued", (run[name],), continued)
            for name in ("spec.json", "provenance.json", "summary.json")
        ),
        Parser("kept distances", (kept,), lambda path: fidelity._kept(path, ["d"], lpips=True)),
        Parser(
            "kept traces",
            (trace,),
            lambda path: tracing._kept(path, "k"),
            (mutations.apply, mutations.inside_zip),
        ),
        Parser("rows.jsonl", (run["rows.jsonl"],), lambda path: RunFolder(path.parent).rows()),
        Parser("animation.json", (made,), lambda path: read_model(AnimationRecord, path)),
    ]
