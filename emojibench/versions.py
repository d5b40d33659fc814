"""What is installed here that a value could depend on."""

import hashlib
import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = (
    "emojibench", "av", "diffusers", "face-alignment", "insightface", "lpips", "mediapipe", "numpy",
    "onnxruntime", "opencv-contrib-python", "pandas", "pyiqa", "safetensors", "scikit-image", "scipy",
    "torch", "torchvision", "transformers",
)  # fmt: skip
_OURS = ("emojibench", "emojibench_metrics", "emojibench_baselines", "fye_faster")


def packages() -> dict[str, str]:
    """Installed versions of everything that a value could depend on."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@lru_cache
def build() -> dict[str, str]:
    """The same, with the version of Python and a digest of our own code: equal builds make equal values."""
    return packages() | {"Python": platform.python_version(), "code of emojibench": _code()}


def _code() -> str:
    digest = hashlib.sha256()
    for package in _OURS:
        spec = find_spec(package)
        for folder in sorted(spec.submodule_search_locations or ()) if spec else ():
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{package}/{file.relative_to(folder).as_posix()}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
