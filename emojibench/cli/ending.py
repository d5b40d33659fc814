"""How commands end: every error becomes one line and an exit code that no verdict has."""

import os
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from emojibench.errors import UnavailableError, UserError, one_line
from emojibench.extras import lacking

USER = 2
UNEXPECTED = 70
INTERRUPTED = 130


class Commands(TyperGroup):
    """The group of all commands. It ends a few errors itself: the library would, a broken pipe with 1 ("regressed")."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, OSError, SystemExit) as error:
            raise typer.Exit(_complain(error)) from error


def ended(app: typer.Typer) -> int:
    """Run the command line of this process and return its exit code."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BaseException as error:
        return _complain(error)
    return 0


def _complain(error: BaseException) -> int:
    """Say in one line what happened; returns the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return _say(str(error) or "interrupted", INTERRUPTED)
    if isinstance(error, UserError | UnavailableError):
        return _say(f"error: {error}", USER)
    if missing := lacking(error):
        return _say(f"error: {missing}", USER)
    log = _keep(error)
    if isinstance(error, FileNotFoundError) and error.filename is None and not _is_somewhere():
        return _say("error: the current directory was removed; change to another one and run again", USER)
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _say(f"error: {where}{error.strerror} (traceback: {log})", USER)
    what = f"error: unexpected {one_line(error)}"
    return _say(f"{what}; please report this with the traceback in {log}", UNEXPECTED)


def _is_somewhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _say(message: str, code: int) -> int:
    typer.echo(message, err=True)
    return code


def _keep(error: BaseException) -> Path | str:
    """Where the traceback is kept: where a run folder did already, else the user's cache."""
    from emojibench import tracebacks
    from emojibench.weights.store import cache_folder

    return tracebacks.keep(error, cache_folder().parent / "logs") or "no file: the disk takes none"
