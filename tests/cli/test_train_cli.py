"""`emojibench train` as a user starts it, on a model that is tiny and a dataset that was built."""

import json
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "reference_model"))

from fye_faster import presets
from fye_faster.models import paper
from fye_faster.presets import Preset
from fye_faster.train.data import TrainingSet
from fye_faster.train.mini import MiniTrainer
from fye_faster.train.recipe import Recipe
from paper_start import SMALL, write
from tiny_model import TINY

from emojibench.cli import app
from emojibench.errors import UserError, WriteError
from emojibench.files.locking import alone
from emojibench.fye import trainable
from emojibench.fye import training_data as training


def test_a_benchmark_sequence_gives_windows_and_keyframes() -> None:
    chosen = training.select(64)
    assert chosen.frames == (0, 8, 16, *range(24, 41), 48, 56, 63)
    runs = {tuple(chosen.frames[k] for k in window) for window in chosen.windows}
    assert runs == {tuple(range(24, 40)), tuple(range(25, 41)), tuple(range(26, 39))}
    far = [tuple(chosen.frames[k] for k in group) for group in chosen.keyframes]
    assert (0, 8, 16, 24, 32, 40, 48, 56, 63) in far
    assert all(len(group) > 1 for group in far)


@pytest.mark.parametrize("total", [3, 5, 16, 17, 18, 100, 121, 122, 250, 1000])
def test_any_length_can_be_chosen_from(total: int) -> None:
    chosen = training.select(total)
    assert chosen.frames[0] == 0
    assert chosen.frames[-1] == total - 1
    for window in chosen.windows:
        frames = [chosen.frames[k] for k in window]
        assert frames == list(range(frames[0], frames[0] + len(frames)))
        assert len(frames) == min(total, 16) or len(frames) == 13
    assert all(1 < len(group) <= 16 for group in chosen.keyframes)  # denoised together, as windows are


def test_too_short_sequences_are_refused() -> None:
    with pytest.raises(UserError, match="at least 3 frames, got 2"):
        training.select(2)


def test_sequences_without_a_face_are_left_out_and_the_rows_close_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of three sequences is unusable: the third moves up."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0.3, 0.7, (3, 3, 478, 3)).astype(np.float32)
    points[1] = np.nan
    frames = rng.integers(0, 256, (3, 3, 32, 32, 3), np.uint8)
    monkeypatch.setattr(training, "available_cores", lambda: 1)

    def load(index: str) -> tuple[np.ndarray, np.ndarray] | None:
        return training._filled(frames[int(index)], points[int(index)])

    data = training._prepare(
        tmp_path,
        {"source": "test"},
        32,
        training.select(3),
        ["0", "1", "2"],
        load,
        portraits=1,
        fresh=False,
    )
    assert np.array_equal(data.frames, frames[[0, 2]])
    assert np.array_equal(data.landmarks, points[[0, 2]])
    warped = data.warped(1, 0, [0, 1])
    assert np.array_equal(warped[0], frames[2, 0])  # a portrait warped to itself
    assert not np.array_equal(warped[1], frames[2, 0])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Preset:
    monkeypatch.setitem(presets.PRESETS, TINY.name, TINY)

    def made_up(_folder: Path, count: int, size: int, *, fresh: bool) -> TrainingSet:
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 256, (count, 5, size, size, 3), np.uint8)
        landmarks = rng.uniform(0.3, 0.7, (count, 5, 478, 3)).astype(np.float32)
        return TrainingSet(frames, landmarks, 1, ((1, 2, 3),), ((0, 4),))

    monkeypatch.setattr(training, "synthetic", made_up)
    return TINY


def found(printed: str) -> dict[str, Any]:
    """What a dry run found, which stands above the settings."""
    return json.loads(printed.splitlines()[0].removeprefix("# found by --dry-run: "))


def test_training_data_takes_its_space_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(WriteError, match=r"frames\.npy: No space left on device"):
        training._make(tmp_path, {}, (2, 4, 4, 3), [], lambda _: None)


def test_a_dry_run_says_what_a_step_takes_and_prints_the_settings(small: Preset, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--preset", small.name, "--dry-run"])
    assert result.exit_code == 0, result.stderr
    told = found(result.stdout)
    assert set(told["seconds_a_step"]) == {"autoencoder", "frames", "clips", "rollouts"}
    assert told["peak_memory_mib"] > 10
    assert told["parameters"] > 1000
    file = tmp_path / "train.yaml"
    file.write_text(result.stdout)
    again = CliRunner().invoke(app, ["train", "--config", str(file), "--dry-run", "--minutes", "5"])
    lines = [line for line in result.stdout.splitlines() if not line.startswith("# found")]
    changed = ["minutes: 5.0" if line.startswith("minutes: ") else line for line in lines]
    assert [line for line in again.stdout.splitlines() if not line.startswith("# found")] == changed


def test_a_phase_without_a_share_keeps_the_weights_it_starts_from(small: Preset, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    arguments = ["train", "--preset", small.name, "--identities", "4", "--validation", "1"]
    started = CliRunner().invoke(app, [*arguments, "--steps", "2,2,2,2", "--out", str(first)])
    assert started.exit_code == 0, started.stderr
    before = first / f"{small.name}.safetensors"
    going_on = [*arguments, "--steps", "0,2,0,0", "--start", str(before), "--out", str(second)]
    result = CliRunner().invoke(app, going_on)
    assert result.exit_code == 0, result.stderr
    old, new = (load_file(out / f"{small.name}.safetensors") for out in (first, second))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert any(name.startswith("animator.denoiser") for name in changed)
    kept = ("autoencoder.", "animator.anchors")
    assert not any(name.startswith(kept) or "motion_modules" in name for name in changed)


def test_starting_over_is_durable_before_the_first_checkpoint(
    small: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["train", "--preset", small.name, "--identities", "4", "--validation", "1"]
    arguments += ["--steps", "1,0,0,0", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    before = (tmp_path / f"{small.name}.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(MiniTrainer, "_run_phase", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        assert CliRunner().invoke(app, [*arguments, "--fresh"]).exit_code != 0
    assert not list(tmp_path.glob("checkpoint-*"))
    assert (tmp_path / f"{small.name}.safetensors").read_bytes() == before
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0
    assert "continuing" not in again.stderr


@pytest.mark.parametrize("limit", [1_000, 50_000])
def test_a_full_disk_is_one_error_and_the_training_goes_on(small: Preset, tmp_path: Path, limit: int) -> None:
    arguments = ["train", "--preset", small.name, "--identities", "4", "--validation", "1"]
    arguments += ["--steps", "2,0,0,0", "--out", str(tmp_path / "out")]
    (tmp_path / "out").mkdir()
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most[1]))
    try:
        full = CliRunner().invoke(app, arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert isinstance(full.exception, UserError), full.exception
    assert f"cannot write {tmp_path}/out/checkpoint-0-000002" in str(full.exception)
    assert "File too large; free some space and run the same command again" in str(full.exception)
    assert not list(tmp_path.glob("out/*.partial"))
    assert CliRunner().invoke(app, arguments).exit_code == 0


def test_a_training_never_writes_through_a_link(small: Preset, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("two lines,\nthe last without an end")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "log.jsonl").symlink_to(precious)
    arguments = ["train", "--preset", small.name, "--steps", "1,0,0,0", "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, UserError)
    assert f"{tmp_path}/out/log.jsonl: expected a plain file" in str(refused.exception)
    assert precious.read_text() == "two lines,\nthe last without an end"


def test_a_second_training_waits_for_the_first(
    small: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["train", "--preset", small.name, "--identities", "4", "--validation", "1"]
    arguments += ["--steps", "1,0,0,0", "--out", str(tmp_path)]
    with alone(tmp_path, "busy"):
        refused = CliRunner().invoke(app, arguments)
        assert str(refused.exception) == (
            f"{tmp_path}: another process trains here; wait for it or choose another --out"
        )
        assert not (tmp_path / "data").exists()
        monkeypatch.setenv("RANK", "1")  # of several processes that train together
        helping = CliRunner().invoke(app, [*arguments, "--data-only"])
        assert helping.exit_code == 0, helping.stderr
    monkeypatch.delenv("RANK")
    assert CliRunner().invoke(app, arguments).exit_code == 0


def test_continuing_says_so_and_other_flags_are_refused(small: Preset, tmp_path: Path) -> None:
    arguments = ["train", "--preset", small.name, "--identities", "4", "--validation", "1"]
    arguments += ["--steps", "1,0,0,0", "--out", str(tmp_path)]
    begun = CliRunner().invoke(app, arguments)
    assert begun.stderr.startswith("loading the training code")
    assert "autoencoder 1/1" in begun.stderr
    assert "continuing phase 4 at step 0" in CliRunner().invoke(app, arguments).stderr
    other = CliRunner().invoke(app, [*arguments, "--seed", "1", "--learning-rate", "0.001"])
    assert isinstance(other.exception, UserError)
    assert f"{tmp_path / 'state.json'}: the training to continue has" in str(other.exception)
    assert (
        "seed 0, not 1, learning rate 0.0006, not 0.001; ask for the same, or start over with --fresh"
        in str(other.exception)
    )


def test_the_perceptual_distance_is_computed_where_the_pictures_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CUDA machine the network was on the GPU, the pictures of a validation on the CPU."""
    from emojibench_metrics.lpips import LpipsNetwork

    def build(self: LpipsNetwork, _backbone: str, *_weights: object) -> None:
        self._network = torch.nn.Linear(1, 1)

    monkeypatch.setattr(LpipsNetwork, "__init__", build)
    monkeypatch.setattr(LpipsNetwork, "between", lambda self, a, _b: self._network.weight.device == a.device)
    monkeypatch.setattr("emojibench.weights.find", Path)
    monkeypatch.setattr("emojibench_metrics.networks.load_tensors", lambda path: {})
    distance = trainable.distance(Recipe(minutes=1, perceptual=1.0))
    assert distance is not None
    for device in ("cpu", "meta"):
        pictures = torch.empty(1, 3, 8, 8, device=device)
        assert distance.between(pictures, pictures)


def test_the_paper_s_model_is_rehearsed_from_its_checkpoints(
    small: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "PAPER", replace(SMALL, name="paper", resolution=64))
    files = write(tmp_path)
    arguments = ["train", "--preset", "paper", "--dry-run"]
    arguments += [word for name, path in files.items() for word in ("--from", f"{name}={path}")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "sd15-unet, motion, sd15-vae, clip: every tensor is there" in result.stderr
    told = found(result.stdout)
    assert set(told["trained"]) == {"frames", "clips"}
    assert told["parameters"] > sum(told["trained"].values())
    swapped = [*arguments, "--from", f"clip={files['sd15-vae']}"]  # the last one counts
    refused = CliRunner().invoke(app, swapped)
    assert isinstance(refused.exception, UserError)
    assert "expected the" in str(refused.exception)
    assert "public clip file" in str(refused.exception)
