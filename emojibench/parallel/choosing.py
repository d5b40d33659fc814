"""Which executor a user wants."""

from emojibench.errors import UserError
from emojibench.parallel.cluster import Ray
from emojibench.parallel.executor import Executor
from emojibench.parallel.local import Local
from emojibench.registry import unknown

NAMES = ("local", "ray")


def chosen(jobs: int | None, executor: Executor | None) -> Executor:
    """The executor, or so many processes of this machine (1 for None).

    Raises:
        UserError: both are given, or `jobs` is below 1.
    """
    if executor is None:
        return Local(1 if jobs is None else jobs)
    if jobs is not None:
        raise UserError(
            f"jobs: expected with workers of this machine only, got {jobs} and {executor}; say it to that"
        )
    return executor


def named(
    name: str, jobs: int | None = None, address: str | None = None, gpus: float | None = None
) -> Executor:
    """The executor that flags name.

    Raises:
        UserError: no such executor, a flag that it does not take, a number out of range.
    """
    if name == "ray":
        return Ray(jobs, address=address, gpus=gpus)
    if name != "local":
        raise UserError(f"--executor: {unknown('executor', name, NAMES)}")
    for flag, given in (("--address", address), ("--gpus-per-worker", gpus)):
        if given is not None:
            raise UserError(
                f"{flag}: expected with --executor ray only, got {given}; add that, or leave it out"
            )
    return chosen(jobs, None)
