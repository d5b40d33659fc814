"""Errors that a user can cause, and how they end a command."""


class UserError(Exception):
    """Something the user can mend. Commands print it without a traceback and exit with 2.

    The message names the file or flag, what was expected, what came, and what to do.
    """


class MediaError(UserError):
    """A picture or video that cannot be read, or is not what its manifest says."""


class DatasetError(UserError):
    """A dataset folder whose manifest, files or digests do not hold together."""


class WriteError(UserError):
    """A file that cannot be written: no space left, a folder that may only be read."""


class UnavailableError(Exception):
    """Weights that cannot be had on this machine right now.

    Not a failure of the run: the metric that needs them reports `unavailable` with this reason.
    """
