"""Flags that several commands share, and how what is given with them is read."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from emojibench.errors import UserError

if TYPE_CHECKING:
    from emojibench.fye.settings import Settings

S = TypeVar("S", bound="Settings")

Split = Annotated[str, typer.Option(help="`self` (a subject drives itself) or `cross` (another one drives).")]
Data = Annotated[str, typer.Option("--dataset", help="`mini`, `synth`, or a dataset folder.")]
Clips = Annotated[
    str | None,
    typer.Option(
        help="Number of clips, counted from the first, or clip ids separated by commas; all by default."
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(help="Metrics or columns; repeat or separate by commas; all by default."),
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Size of the square frames in pixels. Results of different sizes are never compared.",
        show_default="the dataset's",
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(
        help="Use at most this many frames of each clip. Results of different lengths are never compared.",
        show_default="the dataset's",
    ),
]
Jobs = Annotated[int, typer.Option(help="Worker processes.")]
Workers = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        help="Worker processes; with --executor ray, workers of the cluster.",
        show_default="1; with ray, all that there is room for",
    ),
]
Executor = Annotated[
    str,
    typer.Option(help="Where workers run: `local`, this machine, or `ray`, a Ray cluster (docs/scale.md)."),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster: `auto` for that of this machine, or HOST:PORT.",
        show_default="RAY_ADDRESS, else a cluster of this machine alone",
    ),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(
        help="GPUs of one Ray worker, or a share of one.", show_default="what the method says, else 1"
    ),
]
Name = Annotated[
    str | None, typer.Option(help="Name of the run folder; <method>-<split>-<dataset> by default.")
]
Out = Annotated[Path, typer.Option(help="Folder that holds run folders.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with code 3 if a metric is unavailable.")]
Timeout = Annotated[float, typer.Option(help="Seconds that one clip may take; then it fails.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a run of this name instead of continuing it.")
]
Every = Annotated[
    bool, typer.Option("--all", help="Show every column, not only the paper's and those of --metrics.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print summary.json instead of a table.")]

MethodOptions = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Option of the method; repeatable.")
]

# Of `train`, `ablate` and `accel`, whose defaults stand in `emojibench.fye.settings`.
Config = Annotated[
    Path | None, typer.Option(help="YAML file of settings, as --dry-run prints it; flags come on top of it.")
]
MeasuredData = Annotated[
    str | None, typer.Option(help="`mini`, `synth`, or a dataset folder.", show_default="synth")
]
RowOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Option of all rows' methods; repeatable."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check all settings, print them as a file for --config, and stop.")
]
HiddenPath = Annotated[Path | None, typer.Option(hidden=True)]
HiddenText = Annotated[str | None, typer.Option(hidden=True)]
HiddenTexts = Annotated[list[str] | None, typer.Option(hidden=True)]
HiddenInt = Annotated[int | None, typer.Option(hidden=True)]
HiddenFloat = Annotated[float | None, typer.Option(hidden=True)]


def measured_split(default: str) -> Any:
    """The flag `--split` of a command that measures rows."""
    return typer.Option("--split", help="What to measure on: `self` or `cross`.", show_default=default)


def measured_clips(default: int) -> Any:
    """The flag `--clips` of a command that measures rows."""
    text = "Number of clips, counted from the first, or clip ids separated by commas."
    return typer.Option("--clips", help=text, show_default=str(default))


def listed(values: Iterable[str] | None) -> list[str] | None:
    """`["a,b", "c"]` as `["a", "b", "c"]`; None and nothing as None."""
    names = [name.strip() for value in values or () for name in value.split(",") if name.strip()]
    return names or None


def chosen_clips(value: str | None) -> int | list[str] | None:
    """A number of clips, or clip ids separated by commas."""
    if value is None:
        return None
    return int(value) if re.fullmatch(r"\s*-?\d+\s*", value) else listed([value]) or []


def key_values(pairs: Iterable[str] | None) -> dict[str, str]:
    """`["a=1"]` as `{"a": "1"}`.

    Raises:
        UserError: a pair without `=`, or a key given twice.
    """
    options: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set: expected KEY=VALUE, got {pair!r}")
        if key.strip() in options:
            raise UserError(f"--set: {key.strip()} is given twice")
        options[key.strip()] = value
    return options


def numbers(text: str) -> list[str] | None:
    """`2000,800` as a list; None for an empty text."""
    return [part.strip() for part in text.split(",")] if text else None


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "rows": listed, "metrics": listed, "clips": chosen_clips, "set": key_values, "steps": numbers, "shares": numbers,
}  # fmt: skip
"""Key of the settings to how its flag's text is read; the text itself where there is none."""


def given(context: typer.Context) -> set[str]:
    """Parameters of a command that its user gave."""
    return {
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) is not None and source.name != "DEFAULT"
    }


def settled(kind: "type[S]", context: typer.Context, readers: Mapping[str, Callable[[Any], Any]] = {}) -> "S":
    """Settings from the file of --config and from the flags of a command, which come on top.

    Args:
        kind: which settings. Each of their keys may be a flag of the command, with the same name.
        context: of the command.
        readers: how further flags are read.

    Raises:
        UserError: as `emojibench.fye.settings.settle`.
    """
    from emojibench.fye.settings import settle

    keys = {field.alias or name for name, field in kind.model_fields.items()}
    told, flags = {}, given(context)
    for flag in context.command.params:
        key = flag.opts[0].lstrip("-").replace("-", "_")
        if key in keys and flag.name in flags:
            value = context.params[flag.name or ""]
            read = {**_READERS, **readers}.get(key)
            told[key] = read(value) if read else value
    return settle(kind, context.params["config"], told)
