"""The `emojibench` command. One file per command; nothing heavy is imported before a command runs."""

import signal
import sys
from typing import Any

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'emojibench.cli' has no attribute {name!r}")
    from emojibench.cli.commands import app

    return app


def main() -> None:
    """Run the command line and exit.

    Exit codes: those that the command documents; 2 with one line on stderr for what a user can correct; 70 with
    one line and the path of a log for what nobody expected; 130 after Ctrl-C.
    """
    # Nothing is imported before this: Ctrl-C during imports ends like any other.
    try:
        from emojibench.cli import streams

        streams.prepare()
        from emojibench.cli.commands import app
        from emojibench.cli.ending import ended

        code = ended(app)
        code = streams.finish(code)
    except KeyboardInterrupt:
        code = 130
        if sys.stderr is not None:
            print("interrupted", file=sys.stderr)
    if code == 130:  # an impatient second one would hit the interpreter's exit
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)
