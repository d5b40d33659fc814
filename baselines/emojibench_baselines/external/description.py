"""What is known of somebody else's method: where it is, what it needs, how it is called, what comes out.

One YAML file per method lies beside this module. Facts only, read in the method's own repository at the commit that
the file pins; what was read there stands under `read`, what could not be under `unread`.
"""

import re
from itertools import chain
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from emojibench.errors import UserError
from emojibench.files.reading import read_yaml
from emojibench.registry import unknown

FOLDER = Path(__file__).parent
PLACEHOLDERS = {
    "portrait": "the portrait, a picture file",
    "driving": "the driving input, in the form that `input` names",
    "landmarks": "target_landmarks.npz of `emojibench data export`",
    "out": "the file or folder to write, absolute",
    "frames": "number of driving frames",
    "fps": "frames per second of the driving sequence",
    "seed": "the clip's seed, a whole number",
    "repo": "the checkout",
    "weights": "the folder with the checkpoints, laid out by their `file`",
    "scratch": "a private folder, empty at first; the working directory unless `working_directory` is repo",
}
"""What a template may hold in braces."""

Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Licence(_Strict):
    """Terms of the code; those of weights where they differ stand in `note`."""

    name: Text
    file: str | None
    """In the repository; None where it has none."""
    commercial: bool | None
    """Whether commercial use is allowed; None where nothing says so."""
    note: str = ""


class Repository(_Strict):
    """A GitHub repository at one commit."""

    url: Annotated[str, Field(pattern=r"^https://github\.com/[\w.-]+/[\w.-]+$")]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    """Of the commit."""


class Environment(_Strict):
    """What the method's code runs in, as its own files state it."""

    python: Annotated[str, Field(pattern=r"^3\.\d+$")] | None
    requirements: str | None
    """The repository's file; None where it has none."""
    pins: list[Text] = []
    """The requirements that decide most, as pip takes them; taken from that file or, with a `note`, from its README."""
    system: list[Text] = []
    """Programs that must be on the path, or system packages."""
    note: str = ""


class Checkpoint(_Strict):
    """One file, or one folder of a model hub, below {weights}."""

    file: Text
    url: str | None
    """Where the authors offer it, often a page; None where nobody says."""
    bytes: Annotated[int, Field(gt=0)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """As published; None: nobody published one, and the first use records it."""
    keys: list[Text] = []
    """Names at the top of the file."""
    in_repository: str | None = None
    """Where the code opens it, below the checkout, whatever the command says; a link goes there."""
    note: str = ""


class Derived(_Strict):
    """A YAML file of the repository with some of its top values changed, written below {scratch}."""

    source: Text
    """In the repository."""
    values: dict[str, str]
    """With placeholders; a value that is a whole number after filling in becomes one."""


class Motion(_Strict):
    """Whose pose counts."""

    mode: Literal["relative", "absolute", "partly relative", "aligned", "audio"]
    """What `steps` does: driving motion as differences from its first frame; as it is; a mix; retargeted to the
    portrait; from sound."""
    switch: dict[Literal["relative", "absolute"], list[str]] = {}
    """Arguments that choose the mode, where there is a choice; those of `mode` are in `steps` already."""
    note: str = ""


class Tile(_Strict):
    """A rectangle of each written frame, pixels."""

    x: Annotated[int, Field(ge=0)]
    y: Annotated[int, Field(ge=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]


class Output(_Strict):
    """What the last step leaves."""

    pattern: Text
    """The file, or the folder of pictures, with placeholders and `*`."""
    kind: Literal["video", "pictures"]
    size: tuple[int, int] | None
    """Width and height of a result frame; None: the portrait's, or not fixed."""
    tile: Tile | None = None
    """Where the result lies in each frame; None: everywhere."""
    resize: Literal["area"] = "area"
    """How frames come to the portrait's size: `emojibench.media.resize`."""
    geometry: str = ""
    """What happens to the portrait's picture on the way: squeezed, cropped, pasted back."""
    frames: Literal["driving", "multiple of 4", "at most driving", "audio"] = "driving"
    """How many come out."""
    fps: float | Literal["driving"] | None
    """What the file claims; frames are matched by index. None: none."""
    writer: str | None
    """The call that encodes, where frames can be had before the loss: `imageio.mimsave`, `av`, ..."""
    lossy: bool = True


class Parser(_Strict):
    """A source file of the repository that declares the options of a step."""

    step: Annotated[int, Field(ge=0)]
    file: Text
    kind: Literal["argparse", "tyro"]


class State(_Strict):
    """Whether the method can run at all."""

    runnable: bool
    reason: str = ""

    @model_validator(mode="after")
    def _has_a_reason(self) -> Self:
        if not self.runnable and not self.reason:
            raise ValueError("a method that cannot run needs a reason")
        return self


class Read(_Strict):
    """What one file of the repository says."""

    file: Text
    what: Text


class Unread(_Strict):
    """What is not known, and why."""

    what: Text
    why: Text


class Description(_Strict):
    """One YAML file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: Text
    """As the paper's table prints it."""
    tables: list[Literal[1, 7, 8]]
    """The paper's tables that it stands in; empty for methods that the paper does not measure."""
    state: State
    licence: Licence | None = None
    repository: Repository | None = None
    environment: Environment | None = None
    checkpoints: list[Checkpoint] = []
    input: (
        Literal[
            "driving.mkv", "driving.mp4", "frames", "motion.npy", "maps.mkv", "mesh.mkv", "openpose", "audio"
        ]
        | None
    ) = None
    """What {driving} is: a file or folder of `emojibench data export`, or the driving sequence's sound."""
    input_note: str = ""
    first_frame_twice: bool = False
    """Whether {driving} gets its first frame twice, because the method makes one frame less than it is given."""
    variables: dict[str, str] = {}
    """Environment variables, with placeholders."""
    derives: dict[str, Derived] = {}
    """Name below {scratch} to what it is made from."""
    writes: dict[str, str] = {}
    """Files that the steps need beside it: name below {scratch} to content, with placeholders."""
    steps: list[Annotated[list[str], Field(min_length=1)]] = []
    """Commands in order, without a shell; `python` is the environment's."""
    working_directory: Literal["scratch", "repo"] = "repo"
    parsers: list[Parser] = []
    motion: Motion | None = None
    output: Output | None = None
    device: list[Literal["cpu", "cuda"]] = []
    cpu_arguments: list[str] = []
    """Added to the last step on a machine without a GPU."""
    serves_many: bool = False
    """Whether the method's own entry point animates several clips in one process."""
    pitfalls: list[Text] = []
    read: list[Read] = []
    unread: list[Unread] = []

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for template in self.templates:
            for placeholder in placeholders(template):
                if placeholder not in PLACEHOLDERS:
                    raise ValueError(f"{template!r}: {unknown('placeholder', placeholder, PLACEHOLDERS)}")
        for parser in self.parsers:
            if parser.step >= len(self.steps):
                raise ValueError(f"parsers: there is no step {parser.step}")
        if self.state.runnable:
            required = (
                "licence",
                "repository",
                "environment",
                "input",
                "motion",
                "output",
                "steps",
                "device",
            )
            if absent := [name for name in (*required, "parsers", "read") if not getattr(self, name)]:
                raise ValueError(f"a runnable method lacks {', '.join(absent)}")
        if self.motion and self.motion.mode in ("relative", "absolute"):
            wanted = self.motion.switch.get(self.motion.mode, [])
            given = set(chain.from_iterable(self.steps))
            if missing := [argument for argument in wanted if argument not in given]:
                raise ValueError(f"motion: steps lack {' '.join(missing)} of mode {self.motion.mode}")
        return self

    @property
    def templates(self) -> list[str]:
        """Every text that placeholders are filled into."""
        derived = [value for file in self.derives.values() for value in file.values.values()]
        filled = [*self.cpu_arguments, *self.variables.values(), *self.writes.values(), *derived]
        return [*chain.from_iterable(self.steps), *filled, *([self.output.pattern] if self.output else [])]


def placeholders(template: str) -> set[str]:
    """Names in braces. `{{` and `}}` stand for braces.

    Raises:
        ValueError: braces that do not match, or more in them than a name.
    """
    names = set()
    for _, name, form, conversion in Formatter().parse(template):
        if name is None:
            continue
        if form or conversion or not re.fullmatch(r"[a-z]+", name):
            raise ValueError(f"{template!r}: expected a name in the braces, as in {{portrait}}")
        names.add(name)
    return names


def names() -> list[str]:
    """Sorted names of the methods that are described here."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Description:
    """The description of one method.

    Raises:
        UserError: no such method (the nearest is suggested), or its file is wrong.
    """
    if name not in (known := names()):
        raise UserError(unknown("baseline", name, known))
    return read_description(FOLDER / f"{name}.yaml")


def read_description(path: Path) -> Description:
    """Read and check a description.

    Raises:
        UserError: not a YAML file of plain values; a field that is missing, unknown or wrong; another name than the
            file's.
    """
    values: dict[str, Any] = read_yaml(path)
    try:
        description = Description.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}: {where}: {message}; correct the file") from error
    if description.name != path.stem:
        raise UserError(
            f"{path}: name: expected the file's, {path.stem!r}, got {description.name!r}; rename one of the two"
        )
    return description
