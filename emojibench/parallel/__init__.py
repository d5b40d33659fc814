"""Work spread over processes: pools for functions, and workers for tasks, here or on a cluster."""

from emojibench.parallel.pool import available_cores, leave_with, spread

__all__ = ["available_cores", "leave_with", "spread"]
