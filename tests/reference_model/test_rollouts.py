"""Training at states that the sampler itself reaches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fye_faster.diffusion import schedule
from fye_faster.diffusion.sampler import Guided
from fye_faster.presets import Preset
from fye_faster.train import rollout
from fye_faster.train.data import TrainingSet
from fye_faster.train.mini import MiniTrainer
from fye_faster.train.recipe import Recipe

from emojibench.dataset.cache import shared_detector
from emojibench.face.detect import detector_id
from emojibench.synth.identity import sample_identity
from emojibench.synth.motion import State
from emojibench.synth.render import render
from tests.reference_model.tiny_training import trainer, training_set


@pytest.fixture
def run(tiny: Preset) -> MiniTrainer:
    """At the beginning of the last phase, with parameters that all matter."""
    made = trainer(tiny, training_set(), None, (0, 0, 0, 1))
    made.batches.latents = made._latents()
    made.phase = 3
    made._start_phase()
    with torch.no_grad():
        for parameter in made.model.animator.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made


def known(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def test_a_trajectory_begins_with_noise_and_shows_frames_that_are_to_be_made(tiny: Preset) -> None:
    rng, recipe = np.random.default_rng(0), Recipe(minutes=0, decoded=2)
    ways = [rollout.draw(known(1, 0, 0, 1, 0), tiny, recipe, rng) for _ in range(2000)]
    for way in ways:
        times = way.times.tolist()
        assert times[0] == 999
        assert times == sorted(times, reverse=True)
        assert len(set(way.shown.tolist()) & {1, 2, 4}) == 2
        assert way.guided in (0, sum(t >= 1000 * (1 - tiny.guided) for t in times[:-1]))
    jumps = np.bincount([len(way.times) - 1 for way in ways]) / len(ways)
    np.testing.assert_allclose(jumps, recipe.jumps, atol=0.03)
    guided = np.mean([way.guided > 0 for way in ways if len(way.times) > 1])
    assert guided == pytest.approx(recipe.guided, abs=0.03)
    assert rollout.draw(known(0, 1), tiny, recipe, rng).shown.tolist() == [0]


def test_a_trajectory_is_what_the_sampler_does(run: MiniTrainer) -> None:
    scenes, *_ = run.batches.draw("rollouts", 0)
    objectives, animator = run.objectives, run.model.animator
    scheduler = schedule.ddim(5)
    with torch.no_grad():
        condition = objectives._condition(scenes)
        guided = Guided(animator, condition, scheduler.timesteps, 3.5, 0.2, 0.0)
        latents = scenes.noise
        for step, t in enumerate(scheduler.timesteps[:2]):
            latents = scheduler.step(guided(latents, step), t, latents).prev_sample
    way = rollout.Trajectory(times=scheduler.timesteps[:3], guided=1, shown=torch.tensor([0]))
    reached = rollout.follow(way, guided, scenes.noise, objectives.alphas_cumprod)
    torch.testing.assert_close(reached, latents, rtol=1e-4, atol=1e-5)
    assert not reached.requires_grad
    unguided = rollout.follow(replace(way, guided=0), guided, scenes.noise, objectives.alphas_cumprod)
    assert not torch.allclose(unguided, latents, atol=1e-3)


def test_steps_before_the_last_cut_no_gradient_off(run: MiniTrainer) -> None:
    """Autocast keeps weights that it has cast, and the steps before are taken without gradients."""

    def taught(jumps: int, precision: torch.dtype) -> set[str]:
        run.batches.recipe = replace(run.recipe, jumps=(0.0,) * jumps + (1.0,))
        scenes, way, pictures, usual = run.batches.draw("rollouts", 0)
        assert len(way.times) == jumps + 1
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            both, _ = run.objectives("rollouts", scenes, way, pictures, usual)
            alone, _ = run.objectives("frames", usual)
        names, parameters = zip(*run.trained, strict=True)
        gradients = torch.autograd.grad(both - alone, parameters, allow_unused=True)
        return {n for n, g in zip(names, gradients, strict=True) if g is not None and g.abs().max() > 1e-9}

    plain = taught(0, torch.float32)
    for part in ("autoencoder.decoder", "animator.denoiser", "animator.landmarks", "animator.appearance"):
        assert any(name.startswith(part) for name in plain), part
    assert any("motion_modules" in name for name in plain)
    for precision in (torch.float32, torch.bfloat16):
        assert len(plain - taught(2, precision)) < 0.02 * len(plain)


def test_known_frames_are_not_learnt_and_others_are(run: MiniTrainer) -> None:
    scenes, way, pictures, usual = run.batches.draw("rollouts", 1)
    assert scenes.anchors[0, -1, :, 0, 0].tolist() == [1, 0, 0, 1]

    def total(frame: int) -> float:
        clean = scenes.clean.clone()
        clean[:, :, frame] += 1
        with torch.no_grad():
            return float(run.objectives("rollouts", replace(scenes, clean=clean), way, pictures, usual)[0])

    assert total(0) == total(3)
    assert total(1) != total(0)


def test_phases_one_and_two_go_on_in_turn(run: MiniTrainer) -> None:
    frames = [run.batches.draw("rollouts", step)[3].clean.shape[2] for step in range(4)]
    assert frames[0] == frames[2] == 1
    assert min(frames[1], frames[3]) > 1


def test_a_turn_is_measured_in_the_landmarks_of_a_rendered_head() -> None:
    """Some 0.1 eye distances for every 10 degrees to either side; rolling a head is no turn."""
    identity, detector = sample_identity(3, "realistic"), shared_detector(detector_id())
    poses = (State(), State(yaw=30), State(yaw=-30), State(roll=20))
    points = np.stack([detector.detect(render(identity, pose)) for pose in poses])[None]
    data = TrainingSet(np.zeros((1, 4, 8, 8, 3), np.uint8), points, 1, (), ())
    left, right, rolled = (data.turn(0, 0, np.array([frame])) for frame in (1, 2, 3))
    assert left == pytest.approx(0.3, abs=0.1)
    assert right == pytest.approx(left, rel=0.1)
    assert rolled < 0.05
    assert data.turn(0, 0, np.array([0, 1])) == pytest.approx(left / 2)


def test_heads_that_turn_are_preferred(run: MiniTrainer) -> None:
    def mean(turned: float) -> float:
        batches = run.batches
        batches.recipe, batches.rng = replace(run.recipe, turned=turned), np.random.default_rng(0)
        drawn = [batches._turned(step) for step in range(300)]
        return float(np.mean([batches.data.turn(p.sequences[0], p.references[0], f) for p, f in drawn]))

    assert mean(1.0) > mean(0.5) > mean(0.0)
