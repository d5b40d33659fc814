"""Solvers of the sampling equation, by name, on the released noise schedule."""

from typing import Literal, get_args

from diffusers import DPMSolverMultistepScheduler, SchedulerMixin, UniPCMultistepScheduler

from fye_faster.diffusion.schedule import ddim

Solver = Literal["ddim", "dpm++", "unipc"]
"""DDIM; DPM-Solver++(2M), Lu et al. 2022; UniPC-2, Zhao et al. 2023. The two of second order extrapolate the clean
latents in half the log signal-to-noise ratio."""
SOLVERS: tuple[Solver, ...] = get_args(Solver)


def solver(name: Solver, steps: int) -> SchedulerMixin:
    """A solver that is ready to sample `steps` steps from v-predictions, timesteps trailing."""
    scheduler: SchedulerMixin = ddim()
    if name == "dpm++":
        scheduler = DPMSolverMultistepScheduler.from_config(scheduler.config, algorithm_type="dpmsolver++")
    elif name == "unipc":
        scheduler = UniPCMultistepScheduler.from_config(scheduler.config, solver_order=2)
    scheduler.set_timesteps(steps)
    return scheduler
