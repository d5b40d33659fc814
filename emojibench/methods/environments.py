"""What a command finds when it starts: its Python, its programs, its variables."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from emojibench.errors import UserError
from emojibench.files.reading import is_folder
from emojibench.methods.description import CommandDescription
from emojibench.methods.places import Places
from emojibench.methods.templates import fill

HOOK = Path(__file__).parent / "hook"
_OURS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
"""Variables that speak of the benchmark's own Python."""


def python(environment: Path | None) -> Path:
    """The interpreter of a virtual environment, or the one that runs this.

    Raises:
        UserError: the folder holds none.
    """
    if environment is None:
        return Path(sys.executable)
    interpreter = environment / "bin" / "python"
    if not os.access(interpreter, os.X_OK):
        raise UserError(
            f"{environment}: no environment: expected {interpreter}; make it with `uv venv {environment}`, or correct "
            "environment.path"
        )
    return interpreter


def variables(
    description: CommandDescription,
    places: Places,
    *,
    filled: Mapping[str, str],
    scratch: Path,
    capture: Path,
    own: list[Path],
    seed: int,
) -> dict[str, str]:
    """The whole environment of a command.

    Args:
        description: whose.
        places: where it is.
        filled: values of placeholders.
        scratch: its private folder.
        capture: folder for frames that are taken before they are encoded.
        own: folders that it may write to.
        seed: for random generators that the command does not seed itself.
    """
    env = dict(os.environ)
    path = [env.get("PYTHONPATH", "")]
    if places.environment is not None:
        env = {name: value for name, value in env.items() if name not in _OURS}
        env |= {"VIRTUAL_ENV": str(places.environment), "PYTHONNOUSERSITE": "1"}
        path = []
    env["PATH"] = os.pathsep.join([str(python(places.environment).parent), env.get("PATH", os.defpath)])
    temporary = scratch / "tmp"
    env |= {
        "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
    }  # fmt: skip
    env |= {name: fill(value, filled) for name, value in description.variables.items()}
    own_path = [env["PYTHONPATH"]] if "PYTHONPATH" in description.variables else []
    return env | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HOOK), *own_path, *path])),
        "EMOJIBENCH_CAPTURE": str(capture),
        "EMOJIBENCH_CAPTURE_LIMIT": str(int(description.output_limit * 2**20)),
        "EMOJIBENCH_FOLDERS": os.pathsep.join(map(str, own)),
        "EMOJIBENCH_SEED": str(seed),
    }


def resolve(word: str, places: Places, env: Mapping[str, str], cwd: Path) -> str:
    """A program's path.

    Raises:
        UserError: there is none of this name.
    """
    if word == "python":
        return str(python(places.environment))
    found = str(cwd / word) if os.sep in word else shutil.which(word, path=env["PATH"])
    if found is None or not os.access(found, os.X_OK) or is_folder(Path(found)):
        raise UserError(
            f"command not found: {word!r} is no program on the path; install it, or write its whole path into the "
            "command"
        )
    return found
