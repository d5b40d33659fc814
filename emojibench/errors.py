"""Errors that a user can cause, and how they end a command."""


class UserError(Exception):
    """Something that the user can correct. Commands print it without a traceback and exit with 2.

    The message names the file or flag, what was expected, what came, and what to do.
    """


class MediaError(UserError):
    """A picture or video that cannot be read, or is not what its manifest says."""


class DatasetError(UserError):
    """A dataset folder whose manifest, files or digests do not hold together."""


class WriteError(UserError):
    """A file that cannot be written: no space left, a folder that may only be read."""


class UnavailableError(Exception):
    """Weights or optional packages that cannot be had on this machine right now.

    Not a failure of the run: the metric that needs them reports `unavailable` with this reason.
    """


def plain(text: str) -> str:
    """`text` as files of ours can hold it: messages of plug-ins may have lone surrogates and null characters."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")


def one_line(error: BaseException, limit: int = 300) -> str:
    """`Type: message` on one line, for tables and rows."""
    try:
        text = " ".join(plain(str(error)).split())
    except Exception as broken:  # of the exception's own making
        text = f"no message ({type(broken).__name__})"
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if len(line) <= limit else line[: limit - 1] + "…"
