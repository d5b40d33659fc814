"""What a YAML file says of a method that is a command: how it is called, what it is given, what comes out.

`docs/add_a_method.md` shows one. `emojibench_baselines.external` has the same with more facts.
"""

from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from emojibench.errors import UserError
from emojibench.files.reading import read_yaml
from emojibench.methods.templates import OF_A_CLIP, checked, words
from emojibench.registry import unknown

Text = Annotated[str, Field(min_length=1)]
Words = Annotated[
    list[Annotated[str, Field(coerce_numbers_to_str=True)]], BeforeValidator(words), Field(min_length=1)
]
Input = Literal[
    "driving.mkv", "driving.mp4", "frames", "landmarks.npz", "target_landmarks.npz", "motion.npy", "maps.mkv",
    "mesh.mkv", "openpose",
]  # fmt: skip
"""What {driving} can be: a file or folder of `emojibench data export`."""
_OURS = frozenset({"in", "out", "tmp", "clips", "clips.jsonl"})
"""What the benchmark itself makes below {scratch}."""
_LONGEST = 200
"""Characters of a file's name."""
BATCH = 16
"""Clips of one command that takes several, unless its description says another number."""


class Strict(BaseModel):
    """Refuses fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Licence(Strict):
    """Terms of the code; those of weights where they differ stand in `note`."""

    name: Text
    file: str | None = None
    """In the repository; None where it has none."""
    commercial: bool | None = None
    """Whether commercial use is allowed; None where nothing says so."""
    note: str = ""


class Environment(Strict):
    """What the method's code runs in."""

    path: str | None = None
    """Folder of a virtual environment that is there, from the YAML file's folder; None: one that `setup` made, or the
    Python that runs the benchmark."""
    python: Annotated[str, Field(pattern=r"^3\.\d+$")] | None = None
    """Version to make one with."""
    requirements: str | None = None
    """The repository's file; None where it has none."""
    pins: list[Text] = []
    """The requirements that decide most, as pip takes them; they count before those of the file."""
    left_out: list[Text] = []
    """Packages of the file that are not installed."""
    afterwards: Annotated[list[Text], Field(exclude_if=lambda names: not names)] = []
    """Requirements that are installed when all others are, because their builds import some of these."""
    system: list[Text] = []
    """Programs that must be on the path, or system packages."""
    resolved: Annotated[str, Field(exclude_if=lambda text: not text)] = ""
    """How far its requirements are known to go together, where nobody has installed them yet."""
    note: str = ""


class Derived(Strict):
    """A YAML file of the repository with some of its top values changed, written below {scratch}."""

    source: Text
    """In the repository."""
    values: dict[str, str]
    """With placeholders; a value that is a whole number after filling in becomes one."""


class Motion(Strict):
    """Whose pose counts."""

    mode: Literal["relative", "absolute", "partly relative", "aligned", "audio"]
    """What `steps` does: driving motion as differences from its first frame; as it is; a mix; retargeted to the
    portrait; from sound."""
    switch: dict[Literal["relative", "absolute"], list[str]] = {}
    """Arguments that choose the mode, where there is a choice; those of `mode` are in `steps` already."""
    note: str = ""


class Tile(Strict):
    """A rectangle of each written frame, pixels."""

    x: Annotated[int, Field(ge=0)]
    y: Annotated[int, Field(ge=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]


class Output(Strict):
    """What the last step leaves."""

    pattern: Text = "{out}"
    """The file, or the folder of pictures, with placeholders and `*`."""
    kind: Literal["video", "pictures"] = "video"
    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    """Width and height of a result frame; None: the portrait's, or not fixed."""
    tile: Tile | None = None
    """Where the result lies in each frame; None: everywhere."""
    resize: Literal["area"] = "area"
    """How frames come to the portrait's size: `emojibench.media.fit`."""
    geometry: str = ""
    """What happens to the portrait's picture on the way: squeezed, cropped, pasted back."""
    frames: Literal["driving", "multiple of 4", "at most driving", "audio"] = "driving"
    """How many come out. `audio`: as long as the sound lasts, at the file's own rate; matched by time, not by index."""
    fps: Annotated[float, Field(ge=1, le=1000)] | Literal["driving"] | None = "driving"
    """What the file claims; frames are matched by index. None: none."""
    writer: str | None = None
    """The call that encodes, where frames can be had before the loss: `imageio.mimsave`, `av`, ..."""
    lossy: bool = True
    """Whether the file's encoder loses something; a file that shows that it does not needs no word."""


class Revision(Strict):
    """What tells one version of the method's code and weights from another."""

    checkout: str | None = None
    """Folder of a git repository, {repo}; from the YAML file's folder."""
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")] | None = None
    """What the checkout should be at; another one is a warning, and recorded."""
    files: list[Text] = []
    """Files whose digests count (scripts, weights), from the YAML file's folder."""


class CommandDescription(Strict):
    """One YAML file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")]
    title: str = ""
    label: Annotated[str, Field(pattern=r"^[^\x00-\x1f|`]{0,100}$")] = ""
    """What tables print behind the name."""
    licence: Licence | None = None
    revision: Revision = Revision()
    environment: Environment | None = None
    input: Input | None = "driving.mkv"
    """What {driving} is."""
    first_frame_twice: bool = False
    """Whether {driving} gets its first frame twice, because the method makes one frame less than it is given."""
    variables: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str] = {}
    """Environment variables, with placeholders."""
    derives: dict[str, Derived] = {}
    """Name below {scratch} to what it is made from."""
    writes: dict[str, str] = {}
    """Files that the steps need beside it: name below {scratch} to content, with placeholders."""
    steps: list[Words] = []
    """Commands in order, without a shell; `python` is the environment's. `command` is another name of a single one."""
    working_directory: str = "scratch"
    """`scratch`, `repo`, or a folder from the YAML file's."""
    motion: Motion | None = None
    output: Output = Output()
    device: list[Literal["cpu", "cuda"]] = []
    """Where it runs; empty: wherever."""
    cpu_arguments: list[str] = []
    """Added to the last step where it is to run without a GPU."""
    time_limit: Annotated[float, Field(gt=0)] = 1800
    """Seconds that the steps may take for one clip."""
    memory_limit: Annotated[float, Field(gt=0)] | None = None
    """MiB of all its processes together; None: what the machine has."""
    gpus: Annotated[float, Field(ge=0, le=64)] | None = None
    """GPUs of one start, or a share of one, where several are shared out (docs/scale.md); None: one."""
    output_limit: Annotated[float, Field(gt=0)] = 4096
    """MiB that it may write for one clip."""
    batch: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Most clips of one command, where the command takes {clips}."""

    can_run: ClassVar[bool] = True
    """Whether it must be complete."""

    @model_validator(mode="before")
    @classmethod
    def _takes_one_command(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "command" not in values:
            return values
        if "steps" in values:
            raise ValueError("command and steps: expected one of the two")
        return {key: value for key, value in values.items() if key != "command"} | {
            "steps": [values["command"]]
        }

    @model_validator(mode="after")
    def _can_be_filled_in(self) -> Self:
        if self.can_run and not self.steps:
            raise ValueError("command: missing; add the command that animates a clip")
        used = checked(self.templates)
        checked([self.output.pattern])
        if self.takes_several and (strange := sorted(used & OF_A_CLIP)):
            raise ValueError(
                f"{{{strange[0]}}} differs from clip to clip; a command that takes {{clips}} finds it on each line"
            )
        if self.batch and self.batch > 1 and not self.takes_several:
            raise ValueError(
                "batch: only a command that takes {clips} animates several; add it, or leave batch out"
            )
        for name in (*self.derives, *self.writes):
            parts = Path(name).parts
            if Path(name).is_absolute() or ".." in parts or not parts or max(map(len, parts)) > _LONGEST:
                raise ValueError(f"{name!r:.300}: expected the name of a file below {{scratch}}")
            if parts[0] in _OURS:
                raise ValueError(f"{name!r}: {parts[0]} is written by the benchmark; choose another name")
        if self.motion and self.motion.mode in ("relative", "absolute"):
            wanted = self.motion.switch.get(self.motion.mode, [])
            given = set(chain.from_iterable(self.steps))
            if missing := [argument for argument in wanted if argument not in given]:
                raise ValueError(f"motion: steps lack {' '.join(missing)} of mode {self.motion.mode}")
        return self

    @property
    def templates(self) -> list[str]:
        """Every text that placeholders are filled into before the command starts."""
        derived = [value for file in self.derives.values() for value in file.values.values()]
        return [
            *chain.from_iterable(self.steps), *self.cpu_arguments, *self.variables.values(), *self.writes.values(),
            *derived,
        ]  # fmt: skip

    @property
    def uses(self) -> set[str]:
        """Names of all placeholders in it."""
        return checked([*self.templates, self.output.pattern])

    @property
    def takes_several(self) -> bool:
        """Whether one command animates several clips."""
        return "clips" in checked(self.templates)


_Description = TypeVar("_Description", bound=CommandDescription)


def read_description(path: Path, model: type[_Description]) -> _Description:
    """Read and check a description.

    Raises:
        UserError: not a YAML file of plain values; a field that is missing, unknown or wrong.
    """
    values: dict[str, Any] = read_yaml(path)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_complaint(model, error)}; correct the file") from error


def _complaint(model: type[BaseModel], error: ValidationError) -> str:
    """The first of pydantic's complaints: the field, what was expected, what came."""
    first = error.errors()[0]
    where, kind = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part), first["type"]
    if kind == "extra_forbidden":
        name = str(first["loc"][-1])
        return f"{where}{unknown('field', name, _fields(model, first['loc'][:-1]))}"
    if kind == "missing":
        return f"{where}missing"
    message = first["msg"].removeprefix("Value error, ")
    plain = isinstance(first["input"], str | int | float | bool | list | None) and kind != "value_error"
    return f"{where}{message}" + (f", got {first['input']!r:.80}" if plain else "")


def _fields(model: Any, where: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model at a place within another."""
    for part in where:
        if part not in getattr(model, "model_fields", {}):
            continue
        annotation = model.model_fields[part].annotation
        inner = [
            a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        model = inner[0] if inner else None
    return [
        *getattr(model, "model_fields", ()),
        *(["command"] if model and "steps" in model.model_fields else []),
    ]
