"""Texts with names in braces, as descriptions of commands have them."""

import re
import shlex
from collections.abc import Iterable, Mapping
from string import Formatter

from emojibench.registry import unknown

PLACEHOLDERS = {
    "portrait": "the portrait, a PNG file",
    "driving": "the driving input, in the form that `input` names",
    "sound": "what is heard during the driving sequence, a WAV file: mono, 48000 Hz, 16 bits",
    "landmarks": "target_landmarks.npz of `emojibench data export`",
    "out": "what to write: a file where `output.pattern` is {out} itself and its kind a video, else a folder",
    "frames": "number of driving frames",
    "fps": "frames per second of the driving sequence",
    "seed": "the clip's seed, a whole number",
    "clip": "the clip's id",
    "clips": "a JSON Lines file with the clips of this command, one object a line, for commands that take several",
    "here": "the folder of the YAML file",
    "repo": "the checkout",
    "weights": "the folder with the checkpoints, laid out by their `file`",
    "scratch": "a private folder, empty at first; the working directory unless `working_directory` is another",
}
"""What a template may hold in braces."""
_OF_A_SHELL = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1", "&>"})
OF_A_CLIP = frozenset({"portrait", "driving", "sound", "landmarks", "out", "frames", "fps", "seed", "clip"})
"""Those that differ from clip to clip."""


def placeholders(template: str) -> set[str]:
    """Names in braces. `{{` and `}}` stand for braces.

    Raises:
        ValueError: braces that do not match, or more in them than a name.
    """
    found = set()
    try:
        for _, name, form, conversion in Formatter().parse(template):
            if name is None:
                continue
            if form or conversion or not re.fullmatch(r"[a-z]+", name):
                raise ValueError("expected a name in the braces, as in {portrait}")
            found.add(name)
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}; write {{{{ and }}}} for braces") from None
    return found


def checked(templates: Iterable[str]) -> set[str]:
    """All the names that templates hold.

    Raises:
        ValueError: as `placeholders`; a name that is none of `PLACEHOLDERS` (the nearest is suggested).
    """
    found: set[str] = set()
    for template in templates:
        for name in sorted(placeholders(template)):
            if name not in PLACEHOLDERS:
                raise ValueError(f"{template!r}: {unknown('placeholder', name, PLACEHOLDERS)}")
            found.add(name)
    return found


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template, checked before, with its names replaced."""
    return template.format_map(values)


def words(command: object) -> object:
    """A command as a list of words: a text is split at blanks, quotes as in a shell; anything else stays as it is."""
    if not isinstance(command, str):
        return command
    try:
        found = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"{command!r}: {error}") from None
    if meant := [word for word in found if word in _OF_A_SHELL]:
        raise ValueError(
            f"{command!r}: no shell reads it, so {meant[0]} would be a word like any other; write sh -c '...' for one"
        )
    return found
