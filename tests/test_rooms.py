"""Who may know whom. Imports go one way: down the list of rooms, never up, never in a circle."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "emojibench": ROOT / "emojibench",
    "emojibench_metrics": ROOT / "metrics/emojibench_metrics",
    "fye_faster": ROOT / "reference_model/fye_faster",
    "emojibench_baselines": ROOT / "baselines/emojibench_baselines",
}
HARNESS = (
    "types", "errors", "extras", "registry", "tracebacks", "descriptors", "notebooks", "versions", "reaper", "progress",
    "parallel",
    "files", "weights", "face", "media", "synth", "dataset", "protocol", "methods", "runs", "reports", "fye", "cli",
)  # fmt: skip
"""Rooms of `emojibench` that stand in an order: each may import those before it."""
LEAVES = {"emojibench.types", "emojibench.face"}
"""All that metrics and the reference model may know of the harness."""
LONGEST = 400
"""Lines of a file of the four packages; a longer one is about two things."""
MAY_IMPORT_THE_MODEL = {"emojibench.fye", "emojibench_baselines"}


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for file in folder.rglob("*.py"):
            parts = (package, *file.relative_to(folder).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


def imports(file: Path) -> Iterator[str]:
    """Modules that a file names in import statements, wherever they stand."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                yield member if member in MODULES else node.module


def room(module: str) -> str:
    """`emojibench.media` for `emojibench.media.videos`; other packages are one room."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] in {"emojibench", "fye_faster"} else parts[0]


MODULES = modules()
ARROWS = {
    (module, target)
    for module, file in MODULES.items()
    for target in imports(file)
    if target in MODULES and room(target) != room(module)
}


def test_every_room_has_its_place():
    assert {room(module) for module in MODULES} >= {f"emojibench.{name}" for name in HARNESS}
    assert {room(module).removeprefix("emojibench.") for module in MODULES if module.startswith("emojibench.")} == {
        *HARNESS, "__main__"
    }  # fmt: skip


def test_no_circles_between_modules():
    graph = {
        module: {t for t in imports(file) if t in MODULES and t != module} for module, file in MODULES.items()
    }
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("upper", HARNESS)
def test_the_harness_imports_downwards(upper: str):
    above = {f"emojibench.{name}" for name in HARNESS[HARNESS.index(upper) + 1 :]}
    assert not [
        arrow for arrow in ARROWS if room(arrow[0]) == f"emojibench.{upper}" and room(arrow[1]) in above
    ]


@pytest.mark.parametrize("package", ["emojibench_metrics", "fye_faster"])
def test_metrics_and_model_know_the_leaves_alone(package: str):
    known = {room(target) for module, target in ARROWS if module.startswith(package)}
    assert {name for name in known if name.startswith("emojibench")} <= LEAVES


def test_few_know_the_model():
    outside = {room(module) for module, target in ARROWS if target.startswith("fye_faster")}
    assert {name for name in outside if not name.startswith("fye_faster")} <= MAY_IMPORT_THE_MODEL


def test_the_harness_does_not_import_what_it_measures():
    assert not [
        arrow
        for arrow in ARROWS
        if arrow[0].startswith("emojibench.") and arrow[1].startswith("emojibench_b")
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_files_stay_short(package: str):
    lengths = {
        file.name: len(file.read_text(encoding="utf-8").splitlines())
        for file in PACKAGES[package].rglob("*.py")
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST}
