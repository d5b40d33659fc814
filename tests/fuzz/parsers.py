"""Every reader of files that somebody else may have written, with small good files to damage."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import mutations
import numpy as np

from emojibench.errors import UserError

Mutate = Callable[[bytes, list[mutations.Edit], bytes], bytes]


@dataclass(frozen=True)
class Parser:
    """One reader."""

    name: str
    seeds: tuple[Path, ...]
    """Good files, all of the same kind; where others belong to one, they lie beside it."""
    read: Callable[[Path], object]
    mutations: tuple[Mutate, ...] = (mutations.apply,)
    refusal: type[Exception] = UserError
    """How it refuses a file; the message names the file or its folder."""

    def place(self, seed: Path, folder: Path) -> Path:
        """Where a damaged copy of a seed goes in `folder`: with what lies beside it, if anything does."""
        if len(list(seed.parent.iterdir())) == 1:
            return folder / seed.name
        target = folder / seed.parent.name
        if not target.exists():
            shutil.copytree(seed.parent, target)
        return target / seed.name


def parsers(folder: Path) -> list[Parser]:
    """All parsers, their seeds written into `folder`."""
    files = _Seeds(folder)
    return [*_arrays(files), *_text(files), *_runs(files), *_media(files), *_weights(files)]


class _Seeds:
    """Gives every seed a folder of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def file(self, group: str, name: str, content: bytes | str | Callable[[Path], object]) -> Path:
        path = self._root / group / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


def _frames(count: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(count)
    return [
        {
            "lmks": rng.uniform(0, 1, (478, 3)), "trans_mat": np.eye(4), "faces": np.ones((20, 3), int),
            "bs": [float(value) for value in rng.uniform(0, 1, 51)], "width": 512, "height": 256,
        }
        for _ in range(count)
    ]  # fmt: skip


def _arrays(files: _Seeds) -> list[Parser]:
    from emojibench.dataset import landmarks
    from emojibench.dataset.fye_motion import read_fye_motion
    from emojibench.dataset.sources import read_manual_landmarks
    from emojibench.face.detect import Face
    from emojibench.face.driving import DrivingSequence
    from emojibench.face.template import template
    from emojibench.files.arrays import read_npz

    rng = np.random.default_rng(0)
    points = np.repeat(template()[None] * 0.15 + 0.5, 3, axis=0).astype(np.float32)
    driving = DrivingSequence(
        landmarks=points, fps=25.0, size=(64, 48), detector="test",
        transforms=np.tile(np.eye(4), (3, 1, 1)), blendshapes=rng.uniform(0, 1, (3, 52)).astype(np.float32),
    )  # fmt: skip
    twin = {
        "lmks": points,
        "trans_mat": np.tile(np.eye(4), (3, 1, 1)),
        "bs": np.zeros((3, 51)),
        "size": [512, 256],
    }
    archive = (mutations.apply, mutations.inside_zip, mutations.inside_zip)

    def pickled(path: Path) -> None:
        np.save(path, np.array(_frames(2), dtype=object), allow_pickle=True)

    def finite(path: Path) -> None:
        found = read_fye_motion(path)
        assert np.isfinite(found.transforms[found.detected]).all()
        assert min(found.size) > 0

    return [
        Parser("official motion", (files.file("motion", "motion.npy", pickled),), finite),
        Parser(
            "official motion, twin",
            (files.file("twin", "twin.npz", lambda path: np.savez_compressed(path, **twin)),),
            read_fye_motion,
            archive,
        ),
        Parser(
            "driving sequence",
            (files.file("driving", "driving.npz", lambda path: landmarks.write_driving(path, driving)),),
            landmarks.read_driving,
            archive,
        ),
        Parser(
            "portrait landmarks",
            (
                files.file(
                    "portrait",
                    "portrait.npz",
                    lambda path: landmarks.write_portrait(path, Face(points[0], np.eye(4)), "test"),
                ),
            ),
            landmarks.read_portrait,
            archive,
        ),
        Parser(
            "landmarks by hand, .npz",
            (files.file("hand", "hand.npz", lambda path: np.savez(path, landmarks=points[0])),),
            read_manual_landmarks,
            archive,
        ),
        Parser(
            "landmarks by hand, .json",
            (files.file("hand-json", "hand.json", json.dumps({"landmarks": points[0].round(3).tolist()})),),
            read_manual_landmarks,
        ),
        Parser(
            "kept arrays",
            (
                files.file(
                    "arrays", "arrays.npz", lambda path: np.savez(path, a=points, b=np.array("x" * 64))
                ),
            ),
            read_npz,
            archive,
        ),
    ]


def _text(files: _Seeds) -> list[Parser]:
    from emojibench.dataset.manifest import (
        ClipEntry,
        Manifest,
        digest_of_clips,
        read_manifest,
        write_manifest,
    )
    from emojibench.dataset.sources import Source
    from emojibench.dataset.subjects import name_subjects
    from emojibench.dataset.verifying import verify
    from emojibench.files.reading import parse_model, read_text
    from emojibench.fye.ablation import matrix as ablation
    from emojibench.fye.ablation import running
    from emojibench.fye.acceleration import matrix as acceleration
    from emojibench.weights import store

    entries = tuple(
        ClipEntry(
            clip_id=f"self-{name}", split="self", domain="real", subject=name, driving_subject=name, frames=6,
            portrait=f"portraits/{name}.png", portrait_landmarks=f"portraits/{name}.npz",
            driving=f"driving/{name}.npz", truth=f"driving/{name}.mkv",
            sha256={f"{folder}/{name}.{suffix}": str(ord(name)) * 21 + "0"
                    for folder, suffix in (("portraits", "png"), ("portraits", "npz"), ("driving", "npz"),
                                           ("driving", "mkv"))},
        )
        for name in "deg"
    )  # fmt: skip
    manifest = Manifest(
        name="mine", version="1", licence="none", size=64, detector="test", clips=3, digest=digest_of_clips(entries),
        notes={"frames": 6},
    )  # fmt: skip
    files.file("dataset", "clips.jsonl", lambda path: write_manifest(path.parent, manifest, entries))
    folder = files.file("dataset", "dataset.json", lambda path: None).parent

    def index(path: Path) -> None:
        with patch.dict(os.environ, {"EMOJIBENCH_CACHE": str(path.parent.parent)}):
            store._Index()._load()

    def sealed(path: Path) -> None:
        lines = read_text(path).split("\n")
        found = tuple(parse_model(ClipEntry, line, str(path)) for line in lines if line.strip())
        sealed = manifest.model_copy(update={"digest": digest_of_clips(found), "clips": len(found)})
        write_manifest(path.parent, sealed, found)
        assert not verify(path.parent).ok  # the files are not there
        verify(path.parent).model_dump_json().encode()

    files.file("row", "settings.json", '{"preset": "tiny", "start": "main", "steps": [1, 2]}')
    row = files.file(
        "row", "log.jsonl", '{"phase": "a", "step": 3, "minutes": 0.5, "finished": 1}\n{"loss": 1}\n'
    ).parent
    named = [Source(Path(name), name, name, name, "real") for name in ("a.png", "b.png")]
    known = {"/a.pth": [7, 5, {"sha256": "0" * 64, "git": "1" * 40}]}
    return [
        Parser("dataset.json", (folder / "dataset.json",), lambda path: read_manifest(path.parent)),
        Parser("clips.jsonl", (folder / "clips.jsonl",), lambda path: read_manifest(path.parent)),
        Parser(
            "subjects",
            (files.file("subjects", "subjects.csv", 'file,subject,domain\na.png,anna,real\n"b.png",ben,\n'),),
            lambda path: name_subjects(named, path),
        ),
        Parser(
            "ablation rows",
            (files.file("ablation", "rows.yaml", ablation.PAPER.read_bytes()),),
            ablation.read,
        ),
        Parser(
            "acceleration rows",
            (files.file("acceleration", "rows.yaml", acceleration.PAPER.read_bytes()),),
            acceleration.read,
        ),
        Parser("clips.jsonl, digest made to fit", (folder / "clips.jsonl",), sealed),
        Parser("ablation settings", (row / "settings.json",), lambda path: running.start(path.parent)),
        Parser("ablation log", (row / "log.jsonl",), lambda path: running.effort(path.parent)),
        Parser("index of weights", (files.file("weights", "index.json", json.dumps(known)),), index),
    ]


def _runs(files: _Seeds) -> list[Parser]:
    import pyarrow
    import pyarrow.parquet as parquet

    from emojibench.files.reading import read_model
    from emojibench.fye.acceleration import fidelity, tracing
    from emojibench.protocol import Protocol
    from emojibench.reports.gating import gate
    from emojibench.reports.load import load_run
    from emojibench.reports.markdown import render
    from emojibench.reports.pages import track_page
    from emojibench.reports.published import load_table
    from emojibench.reports.tables import build_track
    from emojibench.runs.folder import RunFolder
    from emojibench.runs.records import AnimationRecord, Row
    from emojibench.runs.spec import RunSpec

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
        with contextlib.suppress(UserError):  # not comparable
            gate(sound.path, found.path)

    return [
        *(
            Parser(name, (run[name],), page)
            for name in ("spec.json", "provenance.json", "summary.json", "rows.parquet")
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


def _media(files: _Seeds) -> list[Parser]:
    from PIL import Image

    from emojibench import media

    ramp = np.linspace(0, 255, 48 * 40 * 3).reshape(48, 40, 3).astype(np.uint8)
    clip = [np.roll(ramp, 3 * k, axis=1) for k in range(6)]

    def saved(**options: object) -> Callable[[Path], object]:
        return lambda path: Image.fromarray(ramp).save(path, **options)

    def video(path: Path) -> None:
        media.video_info(path)
        for frame in media.iterate_video(path):
            assert frame.dtype == np.uint8

    pictures = {
        "plain.jpg": saved(quality=80), "plain.webp": saved(), "plain.gif": saved(), "plain.bmp": saved(),
        "plain.tif": saved(compression="tiff_lzw"),
    }  # fmt: skip
    for number in range(3):
        numbered = files.file("numbered", f"{number:04}.png", saved())
    lossless = files.file("mkv", "clip.mkv", lambda path: media.write_lossless(path, clip, 25))
    preview = files.file("mp4", "clip.mp4", lambda path: media.write_preview(path, clip, 25))
    return [
        Parser(
            "PNG",
            (files.file("png", "plain.png", saved()),),
            media.read_image,
            (mutations.apply, mutations.inside_png, mutations.inside_png),
        ),
        Parser(
            "other pictures",
            tuple(files.file(name.partition(".")[2], name, write) for name, write in pictures.items()),
            media.read_image,
        ),
        Parser("numbered pictures", (numbered,), lambda path: list(media.iterate_video(path.parent))),
        Parser("FFV1 in Matroska", (lossless,), video),
        Parser("H.264 in MP4", (preview,), video),
    ]


def _weights(files: _Seeds) -> list[Parser]:
    import torch
    from emojibench_metrics.networks import load_tensors
    from fye_faster.models import checkpoint, released_weights
    from fye_faster.presets import MINI
    from safetensors.torch import save_file

    state = {"proj.weight": torch.arange(64.0).reshape(8, 8), "proj.bias": torch.ones(8)}
    safe = files.file(
        "safetensors", "w.safetensors", lambda path: save_file(state, path, metadata={"preset": "mini"})
    )
    zipped = files.file("pth", "w.pth", lambda path: torch.save(state, path))
    old = files.file("old", "old.pth", lambda p: torch.save(state, p, _use_new_zipfile_serialization=False))

    def ours(path: Path) -> None:
        checkpoint.as_trained(MINI, path)
        layer = torch.nn.ModuleDict({"proj": torch.nn.Linear(8, 8)})
        layer.preset = MINI
        checkpoint.load(layer, path)

    def official(path: Path) -> None:
        released_weights.fill(torch.nn.ModuleDict({"proj": torch.nn.Linear(8, 8)}), "proj", path)

    archive = (mutations.apply, mutations.apply, mutations.inside_zip)
    return [
        Parser("weights, .safetensors", (safe,), ours, refusal=ValueError),
        Parser("official weights, .pth", (zipped,), official, archive, refusal=ValueError),
        Parser("official weights, older .pth", (old,), official, refusal=ValueError),
        Parser("metric weights, .pth", (zipped,), load_tensors, archive, refusal=ValueError),
    ]
