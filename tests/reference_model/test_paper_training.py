"""Training the paper's model in a small size: what each phase changes, that it continues, that its weights load."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fye_faster.models import checkpoint
from fye_faster.models.paper import PAPER, PaperModel, check_start, start
from fye_faster.pipelines.paper import PaperPipeline
from fye_faster.train.data import TrainingSet
from fye_faster.train.paper import RECIPE, PaperTrainer, dry_run, validation_pipeline
from fye_faster.train.validation import Validation
from paper_start import SMALL as CHECKED
from paper_start import write
from tiny_training import killed_and_continued

Steps = tuple[int, int, int, int]
SMALL = replace(CHECKED, resolution=64, overlap=0)
"""Tensors do not depend on the resolution, seconds do."""


def made_up(side: int, sequences: int = 2) -> TrainingSet:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (sequences, 5, side, side, 3), np.uint8)
    landmarks = rng.uniform(0.3, 0.7, (sequences, 5, 478, 3)).astype(np.float32)
    return TrainingSet(frames, landmarks, 1, ((1, 2, 3),), ((0, 4),))


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return made_up(SMALL.resolution)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write(tmp_path_factory.mktemp("start"))


def trainer(files: dict[str, Path], data: TrainingSet, out: Path | None, steps: Steps) -> PaperTrainer:
    torch.manual_seed(0)
    model = PaperModel(SMALL)
    start(model, files)
    recipe = replace(RECIPE, steps=steps, portraits=2, warm_up=1, learning_rate=1e-3)
    return PaperTrainer(model, data, recipe, out, lambda _record: None)


def test_phases_train_their_own_parts_and_the_weights_come_back(
    files: dict[str, Path], data: TrainingSet, tmp_path: Path
) -> None:
    run = trainer(files, data, tmp_path, (0, 1, 2, 0))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}

    def changed() -> set[str]:
        after = run.model.state_dict()
        names = {name for name in before if not torch.equal(before[name], after[name])}
        before.update({name: value.clone() for name, value in after.items()})
        return names

    run._run_phase(None)
    run._finish_phase(None)
    run._next_phase()
    frames = changed()
    assert all(name.startswith("animator.") for name in frames)  # autoencoder and CLIP are frozen
    assert {name.split(".")[1] for name in frames} == {
        "denoiser",
        "reference_net",
        "landmarks",
        "image_prompt",
    }
    assert not any("motion_modules" in name for name in frames)
    run._run_phase(None)
    run._finish_phase(None)
    run._next_phase()
    clips = changed()
    assert all("motion_modules" in name or name.startswith("animator.anchors.") for name in clips)
    assert any("motion_modules" in name for name in clips)

    checkpoint.save(tmp_path / "paper.safetensors", run.average, SMALL, torch.float32)
    pipeline = PaperPipeline.from_weights(
        tmp_path / "paper.safetensors",
        vae=files["sd15-vae"],
        clip=files["clip"],
        device="cpu",
        preset=replace(SMALL, window=3),
    )
    loaded = pipeline.model.animator.state_dict()
    for name, value in run.model.animator.state_dict().items():
        assert torch.equal(loaded[name], value), name

    frames, points = data.frames[0], data.landmarks[0]
    with pytest.raises(ValueError, match="overlap: the progressive strategy has none, got 1"):
        pipeline.animate(frames[0], points, steps=1, overlap=1)
    told = pipeline.animate(frames[0], points, steps=1, overlap=0).latents
    assert told.shape == (5, 4, SMALL.latent_size, SMALL.latent_size)
    for parameter in pipeline.model.animator.anchors.parameters():
        parameter.zero_()
    deaf = pipeline.animate(frames[0], points, steps=1, overlap=0).latents
    assert not torch.equal(told, deaf)  # frames in between know those that are there

    records: list[dict[str, float | int | str]] = []
    watching = validation_pipeline(run.model)
    look = Validation(watching, watching.model.animator, data[:1], tmp_path, records.append, frames=1)
    look.pipeline.preset = replace(SMALL, steps=1)  # type: ignore[attr-defined]
    look(run.average, "final")
    assert (tmp_path / "validation/final.png").is_file()
    assert set(records[0]) == {"validation", "l1_copy", "l1_warp", "l1_guided", "l1_unguided"}


@pytest.mark.slow  # the same code as for `mini`, whose test is not slow; here with frozen parts
def test_a_killed_training_continues_to_the_same_weights(
    files: dict[str, Path], data: TrainingSet, tmp_path: Path
) -> None:
    make = partial(trainer, files, data, steps=(0, 3, 1, 0))
    whole, again = killed_and_continued(make, tmp_path, saves=2)
    assert (again.phase, again.step) == (0, 1)
    for name, value in again.run().items():
        torch.testing.assert_close(value, whole[name], msg=name)


def test_phases_that_it_lacks_and_other_presets_are_refused(
    files: dict[str, Path], data: TrainingSet, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="preset golden has no phase 'autoencoder'"):
        trainer(files, data, None, (1, 1, 1, 0))
    checkpoint.save(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, PAPER)
    with pytest.raises(ValueError, match="weights of preset 'paper', expected"):
        checkpoint.load(PaperModel(SMALL).animator, tmp_path / "other.safetensors")


def test_checkpoints_are_checked_without_memory(files: dict[str, Path]) -> None:
    with torch.device("meta"):
        model = PaperModel(SMALL)
    check_start(model, files)
    assert all(parameter.is_meta for parameter in model.parameters())
    with pytest.raises(ValueError, match=r"public sd15-unet file.*lacks conv_in\.weight"):
        check_start(model, files | {"sd15-unet": files["motion"]})


def test_the_full_size_is_rehearsed_without_memory() -> None:
    told = dry_run(PAPER, made_up(PAPER.resolution), RECIPE)
    assert told["parameters"] > 2.5e9
    assert told["trained"]["clips"] == 453_209_280 + 5 * 9 * 320 + 320  # motion modules, anchors
    assert 1.7e9 < told["trained"]["frames"] < 1.8e9
    assert 30 < told["training_state_gib"] < 60
    with pytest.raises(ValueError, match="frames: expected 512x512 pixels, got"):
        dry_run(PAPER, made_up(64), RECIPE)
