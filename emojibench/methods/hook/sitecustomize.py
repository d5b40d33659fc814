"""Python runs this before a program of somebody else's that the benchmark has started.

Frames are taken before they are encoded, random generators are seeded, and files that are written elsewhere than in
the program's own folder are noted. Whatever goes wrong here is written down and never stops the program.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any, Callable, Dict, Optional, Sequence

_HERE = os.path.dirname(os.path.abspath(__file__))
_FOLDER = os.environ.get("EMOJIBENCH_CAPTURE", "")
"""Where frames and notes go; not set where this folder is on the path by chance."""


class _Patches:
    """A finder of modules that calls a function on each of some modules when it is imported."""

    def __init__(self, patches: Dict[str, Callable[[Any], None]]) -> None:
        self._patches = patches

    def find_spec(self, name: str, path: Optional[Sequence[str]] = None, target: Any = None) -> Any:
        """The module's specification, with a loader that patches it; None for modules that are left alone."""
        patch = self._patches.pop(name, None)
        if patch is None:
            return None
        for finder in sys.meta_path:
            found = getattr(finder, "find_spec", None)
            spec = found(name, path, target) if found and finder is not self else None
            if spec is not None:
                break
        else:
            return None
        run = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            run(module)
            try:
                patch(module)
            except Exception as error:
                _note(f"{name}: {error!r}")

        try:
            spec.loader.exec_module = exec_module
        except AttributeError:  # of a kind that takes no attributes
            _note(f"{name}: its loader cannot be patched")
        return spec


def _note(problem: str) -> None:
    try:
        with open(os.path.join(_FOLDER, "problems.txt"), "a", encoding="utf-8") as file:
            file.write(problem + "\n")
    except OSError:
        pass


def _seeding(seed: int) -> Dict[str, Callable[[Any], None]]:
    import random

    random.seed(seed)
    return {
        "numpy.random": lambda module: module.seed(seed),
        "torch": lambda module: module.manual_seed(seed) and None,
    }


def _begin() -> None:
    import emojibench_frames  # type: ignore[import-not-found]
    import emojibench_writes  # type: ignore[import-not-found]

    limit = int(os.environ.get("EMOJIBENCH_CAPTURE_LIMIT", "0"))
    patches = emojibench_frames.patches(_FOLDER, limit, _note)
    if os.environ.get("EMOJIBENCH_SEED"):
        patches.update(_seeding(int(os.environ["EMOJIBENCH_SEED"])))
    sys.meta_path.insert(0, _Patches(patches))
    own = os.environ.get("EMOJIBENCH_FOLDERS", "").split(os.pathsep)
    emojibench_writes.watch([_FOLDER] + own, os.path.join(_FOLDER, "outside.txt"))


def _run_the_next_one() -> None:
    """What Python would have run, had this folder not been first on its path."""
    others = [path for path in sys.path if os.path.abspath(path or os.curdir) != _HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if _FOLDER:
    try:
        _begin()
    except Exception as error:
        _note(f"hook: {error!r}")
_run_the_next_one()
