"""What users install: the wheel, outside the repository, beside files of theirs that have names like ours."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Callable
from email import message_from_bytes
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from emojibench.dataset.building import build
from emojibench.extras import EXTRAS
from emojibench.media import write_image, write_lossless
from emojibench.reports.page.folder import STATIC
from emojibench.synth.render import render
from emojibench.synth.sequences import sequences

ROOT = Path(__file__).parents[1]
OURS = {"emojibench", "emojibench_metrics", "emojibench_baselines", "fye_faster"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_our_packages_alone(wheel: Path):
    names = ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == OURS
    assert "fye_faster/weights/mini.safetensors" in names
    assert "emojibench/leaderboards/published/table1.yaml" in names
    assert {f"emojibench/reports/page/static/{name}" for name in STATIC} <= set(names)


def test_the_wheel_works_beside_a_users_own_metrics_and_baselines(wheel: Path, tmp_path: Path):
    environment, work = tmp_path / "venv", tmp_path / "work"
    venv.create(environment, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
    ZipFile(wheel).extractall(packages)
    # The libraries of this environment, without what its own .pth files add: the repository.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    (work / "baselines").mkdir(parents=True)
    for name in ("metrics.py", "reference_model.py", "leaderboards.py", "baselines/__init__.py"):
        (work / name).write_text("raise RuntimeError('somebody imported the user\\'s own file')")
    python = environment / "bin" / "python"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for arguments in (
        ["run", "--method", "landmark-warp", "--clips", "2", "--frames", "8", "--metrics", "l1,ssim"],
        ["report", "--out", "pages"],
    ):
        done = subprocess.run(
            [python, "-m", "emojibench", *arguments],
            cwd=work,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert list((work / "pages").rglob("*.md"))
    where = subprocess.run(
        [python, "-c", "import emojibench, fye_faster; print(emojibench.__file__)"],
        cwd=work, env=clean, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(packages))


def core(wheel: Path) -> set[str]:
    """Names of what `pip install emojibench` installs beside it: requirements of requirements, no extras."""
    about = message_from_bytes(
        ZipFile(wheel).read(next(n for n in ZipFile(wheel).namelist() if n.endswith("METADATA")))
    )
    found, waiting = set[str](), list(about.get_all("Requires-Dist") or ())
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name not in found and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += distribution(name).requires or ()
    return found


@pytest.fixture(scope="module")
def plain(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`emojibench` in an environment with what the wheel requires and nothing else."""
    root = tmp_path_factory.mktemp("plain")
    venv.create(root / "venv", with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(root / "venv")}))
    ZipFile(wheel).extractall(packages)
    for name in core(wheel):
        here = distribution(name)
        for top in {file.parts[0] for file in here.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(here.locate_file(top))))
    (root / "work").mkdir()
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [root / "venv/bin/python", "-m", "emojibench", *map(str, arguments)]
        return subprocess.run(
            command, cwd=root / "work", env=clean, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One portrait, one driving video; somebody else built it."""
    root = tmp_path_factory.mktemp("dataset")
    one = sequences("mini")[0]
    frames = [render(one.identity, one.motion.at(k), 96) for k in range(4)]
    write_image(root / "portraits/one.png", frames[0])
    write_lossless(root / "driving/one.mkv", frames, 25)
    build(root / "portraits", root / "driving", root / "mine", licence="tests only", frames=4, size=96)
    return root / "mine"


def test_scoring_and_reports_need_no_extra(
    plain: Callable[..., "subprocess.CompletedProcess[str]"], dataset: Path, tmp_path: Path
):
    entry = next(
        row
        for row in map(json.loads, (dataset / "clips.jsonl").read_text().splitlines())
        if row["split"] == "self"
    )
    shutil.copy(dataset / entry["driving_frames"], tmp_path / f"{entry['clip_id']}.mkv")
    scored = plain("score", "--predictions", tmp_path, "--dataset", dataset, "--name", "theirs", "--json")
    assert scored.returncode == 0, scored.stderr
    columns = json.loads(scored.stdout)["metrics"]
    assert columns["l1"]["mean"] == 0
    for column, extra in (("landmark_accuracy", "detect"), ("id_sim", "identity"), ("hyperiqa", "quality")):
        assert columns[column]["status"] == "unavailable"
        assert f"pip install 'emojibench[{extra}]'" in columns[column]["reason"]
    reported = plain("report")
    assert reported.returncode == 0, reported.stderr
    assert "theirs" in reported.stdout


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("run --method fye-faster --dataset DATASET --metrics l1", "model"),
        ("run --method landmark-warp", "detect"),
        ("run --method copy-reference --dataset DATASET --metrics id_sim", "identity"),
        ("run --method copy-reference --dataset DATASET --metrics hyperiqa", "quality"),
        ("run --method copy-reference --dataset DATASET --metrics landmarks", "detect"),
        ("animate --portrait x.png --driving x.mp4 --out y.mp4", "model"),
        ("train", "train"),
        ("ablate", "train"),
        ("accel", "model"),
        ("data build --portraits DATASET/portraits --driving DATASET/driving --out mine", "detect"),
    ],
)
def test_a_command_that_lacks_a_package_names_the_extra(
    plain: Callable[..., "subprocess.CompletedProcess[str]"], dataset: Path, arguments: str, extra: str
):
    done = plain(*arguments.replace("DATASET", str(dataset)).split())
    assert done.returncode == 2, done.stderr
    assert f"pip install 'emojibench[{extra}]'" in done.stderr.splitlines()[-1]
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr


def test_the_table_of_extras_is_what_the_project_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        name: {Requirement(r).name for r in rs} for name, rs in project["optional-dependencies"].items()
    }
    for extra, packages in EXTRAS.items():
        assert set(packages) <= extras[extra]
    assert "pyiqa" not in {name for extra, names in extras.items() if extra != "quality" for name in names}
    free = {Requirement(r).name for r in project["dependencies"]}
    assert not free & {name for packages in EXTRAS.values() for name in packages}


def test_every_place_names_the_same_version(wheel: Path):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert wheel.name.startswith(f"emojibench-{version}-")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()
