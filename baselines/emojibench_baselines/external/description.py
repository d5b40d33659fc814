"""What is known of somebody else's method: where it is, what it needs, how it is called, what comes out.

One YAML file per method lies beside this module: a command as `emojibench.methods.description` has it, and facts, read
in the method's own repository at the commit that the file pins; what was read there stands under `read`, what could not
be under `unread`.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emojibench.errors import UserError
from emojibench.methods import description as description_model
from emojibench.methods.description import CommandDescription, Strict, Text
from emojibench.registry import unknown

FOLDER = Path(__file__).parent


class Repository(Strict):
    """A GitHub repository at one commit."""

    url: Annotated[str, Field(pattern=r"^https://github\.com/[\w.-]+/[\w.-]+$")]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    """Of the commit."""


class Checkpoint(Strict):
    """One file, or one folder of a model hub, below {weights}."""

    file: Text
    url: str | None
    """Where the authors offer it, often a page; None where nobody says."""
    bytes: Annotated[int, Field(gt=0)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """As published; None: nobody published one, and the first use records it."""
    keys: tuple[Text, ...] = ()
    """Names at the top of the file."""
    only: tuple[Text, ...] = ()
    """Of a hub's folder: patterns of the files that are needed; empty: all."""
    in_repository: str | None = None
    """Where the code opens it, below the checkout, whatever the command says; a link goes there."""
    note: str = ""


class Parser(Strict):
    """A source file of the repository that declares the options of a step."""

    step: Annotated[int, Field(ge=0)]
    file: Text
    kind: Literal["argparse", "tyro"]


class State(Strict):
    """Whether the method can run at all."""

    runnable: bool
    reason: str = ""

    @model_validator(mode="after")
    def _has_a_reason(self) -> Self:
        if not self.runnable and not self.reason:
            raise ValueError("a method that cannot run needs a reason")
        return self


class Read(Strict):
    """What one file of the repository says."""

    file: Text
    what: Text


class Unread(Strict):
    """What is not known, and why."""

    what: Text
    why: Text


class Description(CommandDescription):
    """One YAML file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: Text
    """As the paper's table prints it."""
    label: Annotated[str, Field(pattern=r"^[^\x00-\x1f|`]{0,100}$")] = "zero-shot, public checkpoint"
    tables: list[Literal[1, 7, 8]]
    """The paper's tables that it stands in; empty for methods that the paper does not measure."""
    state: State
    repository: Repository | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    input_note: str = ""
    working_directory: str = "repo"
    parsers: tuple[Parser, ...] = ()
    serves_many: bool = False
    """Whether the method's own entry point animates several clips in one process."""
    least_frames: Annotated[int, Field(ge=1)] = 1
    """Driving frames without which it makes nothing."""
    pitfalls: tuple[Text, ...] = ()
    read: tuple[Read, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def can_run(self) -> bool:  # type: ignore[override]
        """Whether it must be complete."""
        return self.state.runnable

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for parser in self.parsers:
            if parser.step >= len(self.steps):
                raise ValueError(f"parsers: there is no step {parser.step}")
        if self.state.runnable:
            required = (
                "licence",
                "repository",
                "environment",
                *(["input"] if "driving" in self.uses else []),
                "motion",
                "output",
                "device",
                "parsers",
                "read",
            )
            given = self.model_fields_set
            if absent := [name for name in required if name not in given or not getattr(self, name)]:
                raise ValueError(f"a runnable method lacks {', '.join(absent)}")
        return self


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
    description = description_model.read_description(path, Description)
    if description.name != path.stem:
        raise UserError(
            f"{path}: name: expected the file's, {path.stem!r}, got {description.name!r}; rename one of the two"
        )
    return description
