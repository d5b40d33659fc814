"""Optional packages: which extra of emojibench brings which, and the one line that says so where one is missing."""

from importlib.util import find_spec

from emojibench.errors import UnavailableError

EXTRAS = {
    "figures": ("matplotlib",),
    "model": ("accelerate", "diffusers", "matplotlib", "safetensors", "transformers"),
    "detect": ("mediapipe",),
    "identity": ("insightface", "onnxruntime"),
    "quality": ("pyiqa",),
    "train": ("tensorboard",),
    "ray": ("ray",),
}
"""Extra to the packages, by import name, that it brings and that commands look for."""


def installed(package: str) -> bool:
    """Whether it can be imported; any folder of that name on the path could, as a package without an origin."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def require(*packages: str, what: str = "this", extra: str | None = None) -> None:
    """See that packages are installed; nothing is imported.

    Args:
        packages: import names.
        what: who needs them, for the message.
        extra: the extra that brings all of them; None: the one that brings the first that is missing.

    Raises:
        UnavailableError: some are not installed; says what to install.
    """
    if missing := [name for name in packages if not installed(name)]:
        raise UnavailableError(
            f"{what} needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            f"pip install {_remedy(missing[0], extra)}"
        )


def require_model(what: str, extra: str = "model") -> None:
    """See that all that the reference model needs is installed.

    Raises:
        UnavailableError: it is not; `extra` is said to bring it.
    """
    require(*EXTRAS["model"], what=what, extra=extra)


def lacking(error: BaseException) -> str:
    """What to install, in one line, where an import failed because an optional package is not there; else ""."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return ""
    package = error.name.partition(".")[0]
    if package not in {name for names in EXTRAS.values() for name in names}:
        return ""
    try:
        require(package)
    except UnavailableError as told:
        return str(told)
    return ""  # it is there, but damaged


def _remedy(package: str, extra: str | None) -> str:
    extra = extra or next((name for name, brought in EXTRAS.items() if package in brought), None)
    return package if extra is None else f"'emojibench[{extra}]'"
