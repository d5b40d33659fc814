"""Other solvers lead where DDIM with many steps leads."""

import math
from collections.abc import Callable

import pytest
import torch
from diffusers import SchedulerMixin
from fye_faster.diffusion.sampler import progressive
from fye_faster.diffusion.schedule import ddim
from fye_faster.diffusion.solvers import Solver, solver
from torch import Tensor

MEANS = torch.tensor([-1.5, 0.3, 1.2], dtype=torch.float64)
DEVIATION = 0.4


def exact(scheduler: SchedulerMixin) -> Callable[..., Callable[[Tensor, int], Tensor]]:
    """The v of a mixture of three Gaussians, which a perfect denoiser would predict."""
    alphas = ddim().alphas_cumprod.double()

    def condition(_frames: list[int], _anchors: Tensor | None) -> Callable[[Tensor, int], Tensor]:
        def predict(noisy: Tensor, step: int) -> Tensor:
            alpha = alphas[scheduler.timesteps[step]]
            variance = alpha * DEVIATION**2 + 1 - alpha
            off = noisy[..., None].double() - alpha.sqrt() * MEANS
            weights = (-off.square() / (2 * variance)).softmax(-1)
            clean = (weights * (MEANS + alpha.sqrt() * DEVIATION**2 / variance * off)).sum(-1)
            return ((alpha.sqrt() * noisy - clean) / (1 - alpha).sqrt()).to(noisy.dtype)

        return predict

    return condition


def sample(scheduler: SchedulerMixin) -> Tensor:
    noise = torch.randn(1, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return progressive(exact(scheduler), noise, scheduler, length=4, progress=lambda done, total: None)


def distance(a: Tensor, b: Tensor) -> float:
    return (a - b).square().mean().sqrt().item()


@pytest.mark.parametrize("name", ["dpm++", "unipc"])
def test_solvers_converge_to_many_ddim_steps_and_beat_it_at_few_steps(name: Solver) -> None:
    target = sample(ddim(200))
    errors = [distance(sample(solver(name, steps)), target) for steps in (10, 12, 15, 50, 200)]
    assert all(math.isfinite(error) for error in errors)
    assert errors[-1] < 0.01
    assert errors[-1] < errors[3] < errors[2]
    assert errors[2] < distance(sample(ddim(15)), target)


@pytest.mark.parametrize("steps", [1, 2, 10, 12, 15, 30])
def test_timesteps_are_those_of_ddim(steps: int) -> None:
    for name in ("dpm++", "unipc"):
        assert solver(name, steps).timesteps.tolist() == ddim(steps).timesteps.tolist()
