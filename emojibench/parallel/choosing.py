"""Which executor a user wants."""

from emojibench.errors import UserError
from emojibench.parallel.executor import Executor
from emojibench.parallel.local import Local


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
