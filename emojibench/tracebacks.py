"""Where tracebacks of unexpected errors are kept, since commands print one line."""

import os
import platform
import shlex
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

_LIMIT = 1_000_000
"""Characters of a log; a message can be as long as a file."""
_KEPT = "_emojibench_traceback"


def keep(error: BaseException, folder: Path) -> Path | None:
    """Write the traceback of an error to a new file of a folder.

    Returns:
        The file; that of an earlier call where the error was kept already, None where it cannot be written.
    """
    if (kept := getattr(error, _KEPT, None)) is not None:
        return Path(kept)
    now = datetime.now(UTC)
    file = folder / f"error-{now:%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    text = "".join(traceback.format_exception(error))
    about = f"{now:%Y-%m-%d %H:%M:%S} UTC, Python {platform.python_version()}, {platform.platform()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"{about}\n{shlex.join(sys.argv)}\n\n{text[:_LIMIT]}", encoding="utf-8", errors="backslashreplace"
        )
    except OSError:
        return None
    setattr(error, _KEPT, file)
    return file
