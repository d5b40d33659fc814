"""Where the parts of a command's method are on this machine."""

from dataclasses import dataclass
from pathlib import Path

from emojibench.errors import UserError
from emojibench.files.reading import is_folder
from emojibench.methods.description import CommandDescription


@dataclass(frozen=True)
class Places:
    """Folders, absolute."""

    here: Path
    """Of the YAML file."""
    repo: Path | None = None
    weights: Path | None = None
    """Where checkpoints lie."""
    sound: Path | None = None
    """The user's recordings: one for all clips, or a folder with one for each; None: the dataset's own."""
    environment: Path | None = None
    """A virtual environment; None: the one that the benchmark itself runs in."""
    fingerprint: str = ""
    """Of the checkpoints; part of the method's revision."""
    random_weights: bool = False
    """Whether the checkpoints are noise, for tests; the label says so."""


def own_places(description: CommandDescription, here: Path) -> Places:
    """What the YAML file itself says.

    Raises:
        UserError: a folder that is not there, or something that a template needs and the file does not name.
    """
    checkout = description.revision.checkout
    environment = description.environment.path if description.environment else None
    places = Places(
        here=here,
        repo=None if checkout is None else (here / checkout).absolute(),
        environment=None if environment is None else (here / environment).absolute(),
    )
    return checked_places(description, places)


def checked_places(description: CommandDescription, places: Places) -> Places:
    """`places`, if they have all that the description needs.

    Raises:
        UserError: they have not; the message says what to add.
    """
    name, uses = description.name, description.uses
    wants_repo = "repo" in uses or description.working_directory == "repo" or bool(description.derives)
    if wants_repo and places.repo is None:
        raise UserError(
            f"{name}: its repository is missing: it uses {{repo}}; name the checkout in revision.checkout"
        )
    if "weights" in uses and places.weights is None:
        raise UserError(
            f"{name}: its weights are missing: it uses {{weights}}; write the path into the command instead"
        )
    for what, folder in (
        ("repository", places.repo),
        ("weights", places.weights),
        ("environment", places.environment),
    ):
        if folder is not None and not is_folder(folder):
            raise UserError(f"{name}: no {what} at {folder}: expected a folder; make it, or correct the path")
    return places


def working_directory(description: CommandDescription, places: Places, scratch: Path) -> Path:
    """Where the steps run.

    Raises:
        UserError: the folder that the description names is not there.
    """
    where = description.working_directory
    if where == "scratch":
        return scratch
    if where == "repo":
        assert places.repo is not None
        return places.repo
    folder = (places.here / where).absolute()
    if not is_folder(folder):
        raise UserError(
            f"{description.name}: working_directory: expected `scratch`, `repo` or a folder from the YAML file's, got "
            f"{where!r} (no folder {folder}); correct it"
        )
    return folder
