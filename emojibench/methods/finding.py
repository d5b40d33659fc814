"""From what a user types after `--method` to a method: a registered name, or the YAML file of a command."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emojibench import registry
from emojibench.errors import UserError
from emojibench.methods import Method, MethodFactory
from emojibench.parallel.executor import Needs

SUFFIXES = (".yaml", ".yml")


def is_file(reference: str) -> bool:
    """Whether it is a path, and no name."""
    return reference.lower().endswith(SUFFIXES) or os.sep in reference


def checked(reference: str) -> tuple[str, str]:
    """The method's name, and what finds it from any working directory. Imports no method.

    Raises:
        UserError: no such name (the nearest is suggested); a file that is none, or not as it should be.
    """
    if not is_file(reference):
        registry.check(registry.METHODS, reference)
        return reference, reference
    from emojibench.methods.command import Command

    command = Command(reference)
    return command.description.name, str(command.file)


def factory(reference: str) -> MethodFactory:
    """What builds the method.

    Raises:
        UserError: as `checked`; its module cannot be imported.
    """
    if is_file(reference):
        from emojibench.methods.command import Command

        return Command(reference)
    return resolved(registry.load(registry.METHODS, reference))


def resolved(loaded: Any) -> MethodFactory:
    """What an entry point names, or the command that it names by the path of a YAML file."""
    if isinstance(loaded, str | Path):
        from emojibench.methods.command import Command

        return Command(loaded)
    factory: MethodFactory = loaded
    return factory


def open_method(reference: str, options: Mapping[str, str]) -> Method:
    """The method with options.

    Raises:
        UserError: as `factory`; an option that it does not take.
    """
    return factory(reference)(options)


def needs(reference: str) -> Needs:
    """What one process of the method takes of a machine; it says so itself (`emojibench.methods.Method`).

    Raises:
        UserError: as `factory`; numbers out of range.
    """
    made = factory(reference)
    gpus, memory = getattr(made, "gpus", None), getattr(made, "memory", 0)
    whole = (
        isinstance(gpus, int | float)
        and not isinstance(gpus, bool)
        and (0 <= gpus <= 1 or gpus == int(gpus) <= 64)
    )
    if gpus is not None and not whole:
        raise UserError(
            f"method {reference!r}: gpus: expected a share from 0 to 1, or a whole number of GPUs, got {gpus!r}"
        )
    if isinstance(memory, bool) or not isinstance(memory, int) or memory < 0:
        raise UserError(f"method {reference!r}: memory: expected a number of bytes, got {memory!r}")
    return Needs(gpus, memory)


def origin(loaded: object) -> str:
    """Where a registered method comes from: a file, or a module."""
    if isinstance(loaded, str | Path):
        return str(loaded)
    return str(getattr(loaded, "file", None) or getattr(loaded, "__module__", ""))


def summary(loaded: object) -> str:
    """One line about a registered method."""
    try:
        made = resolved(loaded)
        text = getattr(made, "summary", None)
        return text if isinstance(text, str) else (made.__doc__ or "").strip().partition("\n")[0]
    except UserError as error:
        return f"cannot be opened: {error}"
