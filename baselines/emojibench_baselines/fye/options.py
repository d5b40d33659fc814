"""Reads the `--set key=value` options of a method: unknown names and bad values are user errors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emojibench.errors import UserError
from emojibench.registry import unknown

Kind = Callable[[str], Any] | Sequence[str]
"""How one option is read: `int`, `float`, `str`, `bool`, a function raising ValueError, the allowed words."""

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse(options: Mapping[str, str], kinds: Mapping[str, Kind], *, method: str) -> dict[str, Any]:
    """Typed values of the options that were given; the rest keep the method's own defaults.

    Args:
        options: `--set key=value` pairs, still text.
        kinds: every option the method knows and how its text is read.
        method: the method's name, for the messages.

    Returns:
        Option name to value, only for names in `options`: ready for `Settings(**parse(...))`.

    Raises:
        UserError: an unknown name (the nearest one is suggested), or a value that does not fit.
    """
    values = {}
    for name, text in options.items():
        if name not in kinds:
            raise UserError(unknown(f"option of {method}", name, kinds))
        values[name] = _read(text.strip(), kinds[name], f"--set {name} of {method}")
    return values


def _read(text: str, kind: Kind, where: str) -> Any:
    if isinstance(kind, Sequence):
        if text not in kind:
            raise UserError(f"{where}: expected one of {', '.join(kind)}, got {text!r}")
        return text
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise UserError(f"{where}: expected true or false, got {text!r}")
        return _BOOLEANS[text.lower()]
    try:
        return kind(text)
    except ValueError as error:
        if kind in (int, float):
            expected = "a whole number" if kind is int else "a number"
            raise UserError(f"{where}: expected {expected}, got {text!r}") from error
        raise UserError(f"{where}: {error}, got {text!r}") from error
