"""Every reader of files that somebody else may have written, with small good files to damage."""

import json
import os
from pathlib import Path
from unittest.mock import patch

import mutations
import numpy as np
from parsers_media import media, trainings, weights
from parsers_runs import runs
from reader import Parser, Seeds


def parsers(folder: Path) -> list[Parser]:
    """All readers, their seeds written into `folder`."""
    files = Seeds(folder)
    return [*_arrays(files), *_text(files), *runs(files), *media(files), *weights(files), *trainings(files)]


def _frames(count: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(count)
    return [
        {
            "lmks": rng.uniform(0, 1, (478, 3)), "trans_mat": np.eye(4), "faces": np.ones((20, 3), int),
            "bs": [float(value) for value in rng.uniform(0, 1, 51)], "width": 512, "height": 256,
        }
        for _ in range(count)
    ]  # fmt: skip


def _arrays(files: Seeds) -> list[Parser]:
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


def _text(files: Seeds) -> list[Parser]:
    from emojibench_baselines.external.description import FOLDER, read_description

    from emojibench.dataset import export as exporting
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
    from emojibench.fye import settings
    from emojibench.fye.ablation import matrix as ablation
    from emojibench.fye.ablation import running
    from emojibench.fye.acceleration import matrix as acceleration
    from emojibench.methods import templates
    from emojibench.methods.command import Command
    from emojibench.weights import store

    exported = exporting.ExportedClip(
        clip_id="self-d", split="self", domain="real", subject="d", driving_subject="d", fps=25.0, frames=6, faces=6,
        size=(64, 64), inputs="0" * 64, files={"portrait.png": {"what": "the portrait", "sha256": "1" * 64}},
        left_out={"motion.npy": "no blendshapes"},
        dataset={"name": "mine", "version": "1", "digest": "2" * 64, "licence": "none", "detector": "test"},
    )  # fmt: skip
    files.file("self-d", "portrait.png", "a picture")
    clip = files.file("self-d", exporting.RECORD, exported.model_dump_json(indent=2))
    methods = tuple(
        files.file(name, f"{name}.yaml", (FOLDER / f"{name}.yaml").read_bytes())
        for name in ("sadtalker", "live-portrait", "tps")
    )

    command = {
        "name": "mine", "title": "My method", "licence": {"name": "MIT"}, "time_limit": 60, "memory_limit": 4096,
        "command": "run {portrait} {driving} -o {out}", "output": {"pattern": "{out}", "kind": "video"},
        "variables": {"SEED": "{seed}"}, "writes": {"a.txt": "{frames}"}, "device": ["cpu"],
    }  # fmt: skip
    kinds = {
        "train": settings.TrainSettings,
        "accel": settings.AccelSettings,
        "ablate": settings.AblateSettings,
    }
    chosen = [(name, kind, files.file(name, f"{name}.yaml", kind().yaml())) for name, kind in kinds.items()]
    own = files.file("mine", "mine.yaml", json.dumps(command, indent=2))

    def opened(path: Path) -> None:
        method = Command(path)
        assert method.summary.isprintable()
        method({})

    def described(path: Path) -> None:
        found = read_description(path)
        for template in found.templates:
            templates.fill(template, dict.fromkeys(templates.placeholders(template), "x"))

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
        Parser("exported clip", (clip,), lambda path: exporting._found(path.parent)),
        Parser("description of a method", methods, described),
        Parser("command as a method", (own,), opened),
        *(
            Parser(
                f"settings of {name}",
                (file,),
                lambda path, kind=kind: settings.settle(kind, path, {}).yaml().encode(),
            )
            for name, kind, file in chosen
        ),
        Parser("index of weights", (files.file("weights", "index.json", json.dumps(known)),), index),
    ]
