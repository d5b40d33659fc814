"""`emojibench data ...` as a user types it, in a process of its own."""

import json
import os
import re
import subprocess
import sys

import pytest


@pytest.fixture
def emojibench(tmp_path):
    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "emojibench", "data", *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "EMOJIBENCH_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"},
        )

    return call


def test_build_then_verify_then_break(emojibench, tmp_path, user_files):
    out = tmp_path / "mine"
    folders = "--portraits", user_files / "portraits", "--driving", user_files / "driving", "--out", out
    done = emojibench(
        "build", *folders, "--frames", 6, "--size", 96, "--subjects", user_files / "subjects.csv"
    )
    assert done.returncode == 0, done.stderr
    assert "5 cross clips" in done.stdout
    misspelt = emojibench("info", tmp_path / "mien")
    assert misspelt.returncode == 2
    assert f"Did you mean '{out}'?" in misspelt.stderr
    assert "no face found" in done.stdout

    facts = json.loads(emojibench("info", out, "--size", 96, "--json").stdout)
    items = json.loads((out / "build-report.json").read_text())["items"]
    assert facts["motion_by_clip"]["self-ben"] == next(
        item["motion"] for item in items if item["id"] == "ben"
    )
    assert re.match(r"0\.\d+ to 0\.\d+ eye distances", facts["motion"])

    assert emojibench("verify", out).returncode == 0
    (out / "driving" / "anna.mkv").write_bytes(b"damaged")
    broken = emojibench("verify", out, "--json")
    assert broken.returncode == 2
    assert json.loads(broken.stdout)["problems"][0]["where"] == "driving/anna.mkv"

    again = emojibench("build", *folders)
    assert again.returncode == 2
    assert f"{out}: already there" in again.stderr
    assert "Traceback" not in again.stderr


def test_info_knows_the_embedded_datasets(emojibench):
    facts = json.loads(emojibench("info", "mini", "--json").stdout)
    assert facts["clips"] == {"self": 4, "cross": 4}
    assert facts["domains"] == {"animal": 2, "cartoon": 2, "realistic": 2, "sculpture": 2}
    assert "0 of 28 there" in facts["files"]
    assert facts["motion"] == "not known: not made yet"
    wrong = emojibench("info", "sinth")
    assert wrong.returncode == 2
    assert "Did you mean 'synth'?" in wrong.stderr
    assert "Traceback" not in wrong.stderr
