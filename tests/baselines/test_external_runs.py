"""Five real repositories, run by their own entry scripts on a CPU from `emojibench run` to scored rows.

Their checkpoints have random weights of the right structure (`random_checkpoints.py`); the checkouts are looked for as
in test_external_descriptions.py, and environments are made anew from the pins, by uv.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from emojibench_baselines.external import records, setting_up
from emojibench_baselines.external.description import load

from emojibench import media
from emojibench.errors import UserError
from emojibench.runs.folder import RunFolder

CHECKOUTS = os.environ.get("EMOJIBENCH_CHECKOUTS")
RUN = ("tps", "dagan", "mcnet", "face-vid2vid", "live-portrait")
FRAMES = 2


@pytest.fixture
def ready(request, tmp_path, monkeypatch):
    """A baseline that is set up with random weights, in a copy of its checkout; the reason to skip otherwise."""
    name = request.param
    if CHECKOUTS is None:
        pytest.skip("EMOJIBENCH_CHECKOUTS names no folder of checkouts")
    checkout = Path(CHECKOUTS) / load(name).repository.url.rpartition("/")[2]
    if not checkout.is_dir():
        pytest.skip(f"no checkout at {checkout}")
    monkeypatch.setenv("EMOJIBENCH_BASELINES", str(tmp_path / "home"))
    monkeypatch.delenv("EMOJIBENCH_OFFLINE")
    repo, weights = tmp_path / checkout.name, tmp_path / "weights"
    shutil.copytree(checkout, repo, symlinks=True)
    weights.mkdir()
    given = {"repo": repo, "weights": weights, "random_weights": True, "accept_licence": True}
    try:
        list(setting_up.setup(name, **given, tell=print))
    except UserError as error:
        if "does not resolve" in str(error):
            pytest.skip(f"no registry or no such Python here: {error}")
        raise
    script = Path(__file__).with_name("random_checkpoints.py")
    python = records.environment(name) / "bin" / "python"
    subprocess.run([python, script, name, weights], cwd=repo, check=True, env=os.environ | {"PYTHONPATH": ""})
    parts = setting_up.setup(name, **given, tell=print)
    assert {part.state for part in parts} == {"there"}
    return name


@pytest.mark.external
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("ready", RUN, indirect=True)
def test_a_real_repository_runs_to_scored_rows(ready, tmp_path):
    command = [
        sys.executable, "-m", "emojibench", "run", "--method", ready, "--split", "cross", "--clips", "2",
        "--frames", str(FRAMES), "--metrics", "l1", "--out", tmp_path, "--name",
    ]  # fmt: skip
    runs = {"local": []} | ({"ray": ["--executor", "ray"]} if find_spec("ray") and ready == RUN[0] else {})
    for name, more in runs.items():
        done = subprocess.run([*command, name, *more], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    run = tmp_path / "local"
    values = [RunFolder(tmp_path / name).rows() for name in runs]
    assert all(rows[clip, "l1"] == values[0][clip, "l1"] for rows in values for clip, _ in rows)
    table = pd.read_parquet(run / "rows.parquet")
    assert table.loc[table["metric"] == "l1", "status"].tolist() == ["ok", "ok"]
    assert "random weights" in (run / "spec.json").read_text()
    videos = sorted(run.glob("animations/*/frames.mkv"))
    assert [media.read_video(video).shape for video in videos] == [(FRAMES, 256, 256, 3)] * 2
