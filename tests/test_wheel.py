"""What users install: the wheel, outside the repository, beside files of theirs that have names like ours."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

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
