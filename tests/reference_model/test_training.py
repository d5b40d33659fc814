import json
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fye_faster.models.checkpoint import Model
from fye_faster.pipelines.mini import Pipeline
from fye_faster.presets import Preset
from fye_faster.train.data import TrainingSet
from fye_faster.train.latents import Latents
from fye_faster.train.mini import MiniBatches, MiniTrainer
from fye_faster.train.recipe import Recipe
from fye_faster.train.training_log import jsonl, tensorboard
from fye_faster.train.validation import Validation
from tiny_training import Pixels, trainer, training_set


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return training_set()


def test_each_phase_trains_its_own_part(tiny: Preset, data: TrainingSet, tmp_path: Path) -> None:
    run = trainer(tiny, data, tmp_path, (2, 2, 6, 2))
    before = {n: v.clone() for n, v in run.model.state_dict().items()}

    def changed() -> set[str]:
        after = run.model.state_dict()
        names = {n for n in before if not torch.equal(before[n], after[n])}
        before.update({n: v.clone() for n, v in after.items()})
        return names

    run._run_phase(None)
    run._finish_phase(None)
    run._next_phase()
    assert {n.partition(".")[0] for n in changed()} == {"autoencoder"}
    run._run_phase(None)
    run._finish_phase(None)
    run._next_phase()
    frames = changed()
    assert not any("motion_modules" in n or n.startswith("autoencoder") for n in frames)
    assert {n.split(".")[1] for n in frames} == {
        "denoiser",
        "appearance",
        "landmarks",
        "image_prompt",
        "layout",
    }
    run._run_phase(None)
    run._finish_phase(None)
    run._next_phase()
    clips = changed()
    assert all("motion_modules" in n or n.startswith("animator.anchors.") for n in clips)
    assert {n.split(".")[1] for n in clips} == {"denoiser", "anchors"}
    run._run_phase(None)
    run._finish_phase(None)
    run._next_phase()
    last = changed()
    decoder = {n for n in last if n.startswith("autoencoder.")}
    assert {n.split(".")[1] for n in decoder} == {"expand", "decoder"}
    assert last - decoder == frames | clips


def test_phases_without_a_budget_are_left_out_and_latents_can_be_shared(
    tiny: Preset, data: TrainingSet, tmp_path: Path
) -> None:
    first = trainer(tiny, data, tmp_path / "first", (0, 2, 1, 0))
    before = {n: v.clone() for n, v in first.model.autoencoder.state_dict().items()}
    records: list[dict[str, float | int | str]] = []
    first.log = records.append
    first.run()
    assert [r["phase"] for r in records if "finished" in r] == ["frames", "clips"]
    for name, value in first.model.autoencoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    second = trainer(tiny, data, tmp_path / "second", (0, 2, 1, 0))
    second.batches.latents = first.batches.latents
    second._encode = None  # type: ignore[assignment, method-assign]
    for name, value in second.run().items():
        torch.testing.assert_close(value, first.average[name], msg=name)


@pytest.mark.parametrize("masks", [("expression",), ("face",), ()])
def test_each_part_of_the_ffg_loss_can_be_left_out(
    tiny: Preset, data: TrainingSet, tmp_path: Path, masks: tuple[str, ...]
) -> None:
    def first_loss(masks: tuple[str, ...]) -> tuple[float, float]:
        run = trainer(tiny, data, tmp_path, (0, 1, 0, 0))
        run.batches.latents = run._latents()
        run.batches.recipe = replace(run.recipe, ffg_masks=masks)
        objective, plain = run.objectives("frames", *run.batches.draw("frames", 0))
        return objective.item(), plain.item()

    objective, plain = first_loss(masks)
    whole, same = first_loss(("expression", "face"))
    assert plain == same
    assert objective < whole
    assert (objective == plain) == (not masks)


def test_each_phase_ends_with_the_weights_that_validation_found_best(
    tiny: Preset, data: TrainingSet, tmp_path: Path
) -> None:
    steps = (1, 5, 2, 0)

    class KilledError(Exception):
        pass

    def start() -> MiniTrainer:
        run = trainer(tiny, data, tmp_path, steps)
        run.recipe = replace(run.recipe, checkpoint_minutes=0)
        return run

    seen: dict[str, dict[str, torch.Tensor]] = {}
    errors = {"frames-000002": 0.2, "frames-000003": 0.4, "clips-000001": float("nan")}

    def validate(weights: dict[str, torch.Tensor], label: str) -> float:
        if label == "frames-000004" and label not in seen:
            seen[label] = {}
            raise KilledError
        seen[label] = {name: value.clone() for name, value in weights.items()}
        return errors.get(label, 0.3)

    with pytest.raises(KilledError):
        start().run(validate)
    again, records = start(), list[dict[str, float | int | str]]()
    again.log = records.append
    assert again.resume()
    after_frames: dict[str, torch.Tensor] = {}
    next_phase = again._next_phase

    def note() -> None:
        if again.phases[again.phase] == "frames":
            after_frames.update({name: value.clone() for name, value in again.weights.items()})
        next_phase()

    again._next_phase = note  # type: ignore[method-assign]
    result = again.run(validate)
    for name, value in seen["frames-000002"].items():
        assert torch.equal(after_frames[name], value), name
    for name, value in seen["clips-000002"].items():
        assert torch.equal(result[name], value), name
    assert [r["best_step"] for r in records if "best_step" in r] == [2, 2]
    assert not list(tmp_path.glob("best-*"))


def finish(run: MiniTrainer) -> None:
    run._run_phase(None)
    run._finish_phase(None)
    run._next_phase()


def test_what_a_phase_alone_needs_is_freed_when_it_is_over(tiny: Preset, data: TrainingSet) -> None:
    run = trainer(tiny, data, None, (1, 1, 0, 0))
    optimizer, objectives = weakref.ref(run.optimizer.optimizer), weakref.ref(run.objectives)
    finish(run)
    assert optimizer() is objectives() is None
    assert all(parameter.grad is None for parameter in run.model.parameters())
    assert len(run.accelerator._optimizers) == len(run.accelerator._models) == 1
    run.run()
    assert run.optimizer is None
    assert all(parameter.grad is None for parameter in run.model.parameters())


def test_a_failing_validation_costs_no_training(tiny: Preset, data: TrainingSet, tmp_path: Path) -> None:
    def crash(_weights: dict[str, torch.Tensor], _label: str) -> float:
        raise RuntimeError("on another device")

    with pytest.raises(RuntimeError):
        trainer(tiny, data, tmp_path, (0, 3, 0, 0)).run(crash)
    again = trainer(tiny, data, tmp_path, (0, 3, 0, 0))
    assert again.resume()
    assert (again.phase, again.step) == (1, 3)


def test_weights_to_start_from_keep_their_latents(tiny: Preset, data: TrainingSet, tmp_path: Path) -> None:
    trained = trainer(tiny, data, None, (1, 1, 0, 0))
    trained.run()
    pictures = torch.rand(2, 3, 64, 64)
    before = trained.model.autoencoder.encode(pictures)
    recipe = replace(trained.recipe, steps=(1, 0, 0, 0))
    going_on = MiniTrainer(trained.model, data, recipe, tmp_path, lambda _record: None, start="digest")
    decoder = {name: value.clone() for name, value in going_on.weights.items() if "compose" in name}
    going_on.run()
    torch.testing.assert_close(trained.model.autoencoder.encode(pictures), before, rtol=0, atol=0)
    assert any(not torch.equal(value, going_on.weights[name]) for name, value in decoder.items())


def test_validation_writes_pictures_and_errors(tiny: Preset, data: TrainingSet, tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl")
    pipeline = Pipeline(Model(tiny))
    look = Validation(pipeline, pipeline.model, data, tmp_path, log, frames=2)
    error = look(Model(tiny).state_dict(), "start")
    assert (tmp_path / "validation/start.png").stat().st_size > 1000
    record = json.loads((tmp_path / "log.jsonl").read_text())
    assert record["validation"] == "start"
    assert record["l1_guided"] == error

    class Brightness(Pixels):
        def between(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (a - b).mean((1, 2, 3)).abs()

    both = Validation(
        pipeline, pipeline.model, data, tmp_path, log, frames=2, perceptual=Brightness(), share=3.0
    )
    judged = both(Model(tiny).state_dict(), "start")
    record = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[1])
    assert judged == pytest.approx(record["l1_guided"] + 1.5 * record["perceptual_guided"])
    assert record["perceptual_guided"] > 0
    assert all(0 < record[f"l1_{name}"] < 1 for name in ("copy", "warp", "guided", "unguided"))


def test_more_steps_fit_better_and_are_logged(tiny: Preset, data: TrainingSet, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    after = {}
    for steps in (1, 40):
        run = trainer(tiny, data, tmp_path, (steps, 1, 1, 1))
        run.log = tensorboard(tmp_path / "tensorboard")
        batches = [run.batches.draw("autoencoder", 0) for _ in range(8)]
        run._run_phase(None)
        run._finish_phase(None)
        run._next_phase()
        after[steps] = sum(run.objectives("autoencoder", *batch)[0].item() for batch in batches)
    assert after[40] < after[1]
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_a_perceptual_distance_counts_in_the_last_phase_alone(
    tiny: Preset, data: TrainingSet, tmp_path: Path
) -> None:
    seen: list[tuple[torch.Size, bool]] = []

    class Watched(Pixels):
        def between(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            seen.append((a.shape, a.requires_grad))
            return super().between(a, b)

    losses = {}
    for weight in (0.0, 10.0):
        recipe = Recipe(minutes=0, steps=(0, 0, 0, 1), decoded=2, perceptual=weight, adversarial=0)
        torch.manual_seed(0)
        run = MiniTrainer(Model(tiny), data, recipe, tmp_path, lambda _record: None, Watched())
        run.batches.latents = run._latents()
        run.phase = 3
        run._start_phase()
        batch = run.batches.draw("rollouts", 0)
        losses[weight] = run.objectives("rollouts", *batch)
    assert seen == [(torch.Size((2, 3, 64, 64)), True)] * 2
    assert losses[10.0][0] > losses[0.0][0]
    assert losses[10.0][1] == losses[0.0][1]


def test_all_processes_begin_and_scale_alike(tiny: Preset, data: TrainingSet) -> None:
    """Their batches differ; what sets parameters must not."""
    made = []
    for process in range(2):
        one = trainer(tiny, data, None, (1, 0, 0, 0))
        one.batches = MiniBatches(data, tiny, one.recipe, one.recipe.seed + process)
        one._begin("autoencoder")
        one._normalise_latents()
        made.append({name: value.clone() for name, value in one.weights.items()})
    assert all(torch.equal(value, made[1][name]) for name, value in made[0].items())


def test_a_device_that_is_not_there_is_named(tiny: Preset, data: TrainingSet, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ValueError, match="device: cuda was asked for"):
        MiniTrainer(Model(tiny), data, Recipe(minutes=0, device="cuda"), tmp_path, lambda _record: None)


def test_unfit_data_is_refused(data: TrainingSet) -> None:
    with pytest.raises(ValueError, match="frames: expected uint8"):
        replace(data, frames=data.frames.astype(np.float32))
    with pytest.raises(ValueError, match="landmarks: expected"):
        replace(data, landmarks=data.landmarks[:, :2])
    with pytest.raises(ValueError, match="portraits: expected 1 to 9, got 10"):
        replace(data, portraits=10)
    gaps = data.landmarks.copy()
    gaps[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        replace(data, landmarks=gaps)


def test_latents_are_computed_once_and_damaged_ones_again(
    tiny: Preset, data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> tuple[Latents, int]:
        run = trainer(tiny, data, tmp_path, (0, 1, 0, 0))
        calls, encode = [0], run._encode
        run._encode = lambda pictures: (calls.append(len(pictures)), encode(pictures))[1]  # type: ignore[method-assign]
        return run._latents(), sum(calls)

    first, pictures = kept()
    assert pictures > 3 * 9 + 3 * 2 * 9
    again, fewer = kept()
    assert fewer <= 1  # one tells what shape latents have
    assert isinstance(again.frames, np.memmap)
    assert again.warped is not None
    assert np.array_equal(again.frames, first.frames)
    assert np.array_equal(again.warped, first.warped)
    file = tmp_path / "latents/warped.npy"
    file.write_bytes(file.read_bytes()[:-2] + b"ab")
    assert kept()[1] == pictures
    with torch.no_grad():  # a later step of another training: the encoder is another one
        run = trainer(tiny, data, tmp_path, (0, 1, 0, 0))
        run.model.autoencoder.project.bias.add_(1)
        assert not np.array_equal(run._latents().frames, first.frames)
    assert not list(tmp_path.glob("latents/*.partial"))


def test_a_model_without_the_warp_never_sees_it(tiny: Preset, data: TrainingSet) -> None:
    run = trainer(replace(tiny, warp=False), data, None, (1, 1, 1, 1))
    run.batches.latents = run._latents()
    assert run.batches.latents.warped is None
    scenes, _, pictures, frames = run.batches.draw("rollouts", 0)
    torch.testing.assert_close(pictures.warped, pictures.still, rtol=0, atol=0)
    (clips,) = run.batches.draw("clips", 1)
    for batch in (scenes, frames, clips):
        still = batch.portrait[:, :, None].expand_as(batch.warped)
        torch.testing.assert_close(batch.warped, still, rtol=0, atol=0)


def test_timesteps_and_learning_rate_follow_the_recipe(tiny: Preset, data: TrainingSet) -> None:
    run = trainer(tiny, data, None, (0, 10, 0, 0))
    run.batches.recipe = replace(run.recipe, noisiest=0.4)
    t = run.batches._timesteps(20_000)
    assert (t >= 700).float().mean().item() == pytest.approx(0.4 + 0.6 * 0.3, abs=0.02)
    recipe = replace(run.recipe, cooldown=0.25)
    rates = [recipe.rate(100, done) for done in (0.1, 0.75, 0.875, 1.0)]
    assert rates == pytest.approx([1, 1, 0.5, 0])
