"""Other solvers than DDIM, from diffusers, on the released noise schedule."""

from diffusers import DPMSolverMultistepScheduler, SchedulerMixin, UniPCMultistepScheduler

from reference_model.acceleration import Accelerator
from reference_model.schedule import RELEASED


class DpmSolver(Accelerator):
    """DPM-Solver++(2M), Lu et al. 2022: second order in half the log signal-to-noise ratio, data prediction."""

    label = "dpm-solver++2m"

    def scheduler(self, steps: int) -> SchedulerMixin:
        """See `Accelerator`; the last step is of first order, as published for few steps."""
        return _ready(DPMSolverMultistepScheduler(**RELEASED, algorithm_type="dpmsolver++"), steps)


class UniPc(Accelerator):
    """UniPC-2, Zhao et al. 2023: predictor and corrector of second order that share each evaluation."""

    label = "unipc2"

    def scheduler(self, steps: int) -> SchedulerMixin:
        """See `Accelerator`."""
        return _ready(UniPCMultistepScheduler(**RELEASED, solver_order=2, solver_type="bh2"), steps)


def _ready(scheduler: SchedulerMixin, steps: int) -> SchedulerMixin:
    scheduler.set_timesteps(steps)
    return scheduler
