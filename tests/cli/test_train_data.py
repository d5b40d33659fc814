"""Where `emojibench train` gets its data: prepared once, never lost by a slip, from a dataset folder as well."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fye_faster import presets
from tiny_model import TINY

from emojibench.errors import UserError
from emojibench.face import detector_id
from emojibench.fye import training_data as training
from emojibench.media import write_image, write_lossless
from emojibench.synth import sequences
from emojibench.synth.render import render

FILES = ("done.json", "frames.npy", "landmarks.npy")


@pytest.fixture
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Procedural sequences of three frames, made in this process, for the tiny preset."""
    monkeypatch.setitem(presets.PRESETS, TINY.name, TINY)
    monkeypatch.setattr(sequences, "FRAMES", 3)
    monkeypatch.setattr(training, "available_cores", lambda: 1)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.usefixtures("few_frames")
def test_prepared_data_is_kept_unless_fresh_is_asked_for(
    tmp_path: Path, emojibench: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--preset", "tiny", "--out", tmp_path, "--data-only", "--validation", 1]
    assert emojibench(*command, "--identities", 3) == 0
    data = tmp_path / "data"
    before = contents(data)
    assert emojibench(*command, "--identities", 3) == 0
    capfd.readouterr()

    assert emojibench(*command, "--identities", 2) == 2
    message = capfd.readouterr().err
    assert message.count("\n") == 2  # the first says that the command has begun
    assert f"{data}: holds training data with 4 sequences, asked for 3 sequences" in message
    assert "another --out, or replace it with --fresh" in message
    ablate = ["ablate", "--preset", "tiny", "--rows", "full", "--data", data, "--identities", 2]
    ablate += ["--out", tmp_path / "ablation", "--main", tiny_weights(tmp_path), "--metrics", "l1"]
    assert emojibench(*ablate, "--split", "cross", "--dataset", "mini", "--clips", 2) == 2
    assert "holds training data with 4 sequences, asked for 2" in capfd.readouterr().err
    assert contents(data) == before

    assert emojibench(*command, "--identities", 2, "--fresh") == 0
    assert json.loads((data / "done.json").read_text())["wanted"]["count"] == 3
    assert len(np.load(data / "frames.npy", mmap_mode="r")) == 3


def tiny_weights(folder: Path) -> Path:
    from fye_faster.models import checkpoint

    path = folder / "main.safetensors"
    checkpoint.save(path, checkpoint.Model(TINY).state_dict(), TINY)
    return path


@pytest.mark.usefixtures("few_frames")
@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (
            "detector",
            "mediapipe-facelandmarker-0.0-00000000",
            "detector mediapipe-facelandmarker-0.0-00000000",
        ),
        ("detector", None, "no detector"),
        ("size", 32, "size 32"),
        ("source", "f" * 64, "source ffffffffffff"),
        ("frames", [0, 1], "frames 0,1"),
    ],
)
def test_data_that_was_made_otherwise_is_not_trained_on(
    tmp_path: Path, refused: Callable[..., str], key: str, value: object, told: str
) -> None:
    """Landmarks of another detector above all: the model would learn what this machine never shows it."""
    wanted = {"source": "synth", "count": 4, "frames": [0, 1, 2], "detector": detector_id()}
    wanted |= {"size": 64, "portraits": 2, key: value}
    if value is None:
        del wanted[key]
    data = tmp_path / "data"
    data.mkdir()
    (data / "done.json").write_text(json.dumps({"wanted": wanted, "usable": 4}))
    command = ["train", "--preset", "tiny", "--out", tmp_path, "--identities", 3, "--validation", 1]
    assert f"holds training data with {told}, asked for {key}" in refused(*command)
    assert sorted(file.name for file in data.iterdir()) == ["done.json"]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def other_shape(file: Path) -> None:
    np.save(file, np.zeros((2, 2), np.float32))


def not_a_number(file: Path) -> None:
    np.save(file, np.full_like(np.load(file), np.nan))


@pytest.mark.usefixtures("few_frames")
@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("done.json", lambda file: file.write_text(""), "done.json: not usable JSON"),
        ("done.json", lambda file: file.write_text(file.read_text().replace('e": 3', 'e": 9')), "at most 3"),
        ("frames.npy", cut, "frames.npy: expected prepared training data, got something else"),
        ("frames.npy", other_shape, "frames.npy: expected uint8 (3, 4, 64, 64, 3), got float32 (2, 2)"),
        ("frames.npy", Path.unlink, "frames.npy: prepared training data is missing"),
        ("landmarks.npy", not_a_number, "landmarks: expected finite values"),
    ],
)
def test_damaged_data_is_named_and_made_anew_when_fresh(
    tmp_path: Path, emojibench: Callable[..., int], refused: Callable[..., str], name: str,
    damage: Callable[[Path], object], told: str,
) -> None:  # fmt: skip
    command = [
        "train",
        "--preset",
        "tiny",
        "--out",
        tmp_path,
        "--data-only",
        "--identities",
        2,
        "--validation",
        1,
    ]
    assert emojibench(*command) == 0
    damage(tmp_path / "data" / name)
    message = refused(*command)
    assert told in message
    assert str(tmp_path / "data") in message
    assert "--fresh" in message
    assert emojibench(*command, "--fresh") == 0
    assert emojibench(*command) == 0


def test_a_killed_worker_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Pool.imap` waited for it for ever."""
    monkeypatch.setattr(training, "available_cores", lambda: 2)
    load = partial(os._exit)  # what reads a sequence ends its process
    with pytest.raises(UserError, match="Preparing training data: one of 2 worker processes was killed"):
        training._prepare(tmp_path, {}, 32, training.select(3), [1, 2, 3, 4], load, portraits=1, fresh=False)  # type: ignore[arg-type]
    assert not (tmp_path / "done.json").exists()


def test_a_dataset_folder_is_trained_on(
    tmp_path: Path, emojibench: Callable[..., int], refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """From portraits and videos to weights, with the two commands that a user types."""
    monkeypatch.setitem(presets.PRESETS, TINY.name, TINY)
    for sequence in sequences.sequences("mini")[:3]:
        frames = np.stack([render(sequence.identity, sequence.motion.at(k), 128) for k in range(5)])
        write_lossless(tmp_path / "videos" / f"{sequence.subject}.mkv", frames, 25)
    write_image(tmp_path / "portraits" / "somebody.png", frames[0])
    folder, out = tmp_path / "mine", tmp_path / "out"
    build = ["data", "build", "--portraits", tmp_path / "portraits", "--driving", tmp_path / "videos"]
    assert emojibench(*build, "--out", folder, "--size", 64, "--frames", 5) == 0
    capfd.readouterr()

    command = ["train", "--preset", "tiny", "--dataset", folder, "--validation", 1, "--steps", "1,1,2,1"]
    assert emojibench(*command, "--out", out) == 0
    weights = out / "tiny.safetensors"
    assert capfd.readouterr().out.strip() == str(weights)
    assert weights.is_file()
    assert (out / "validation/final.png").is_file()
    assert list((out / "tensorboard").glob("events.*"))
    finished = [
        r["phase"] for r in map(json.loads, (out / "log.jsonl").read_text().splitlines()) if "finished" in r
    ]
    assert finished == ["autoencoder", "frames", "clips", "rollouts"]
    note = json.loads((out / "data/done.json").read_text())
    assert note["usable"] == 3
    assert note["wanted"]["detector"] == json.loads((folder / "dataset.json").read_text())["detector"]

    few = refused(*command, "--validation", 2, "--out", out, "--fresh")
    assert "3 usable sequences, 2 of them for validation" in few
    assert "asked for source synth" in refused(*command, "--dataset", "", "--out", out)
