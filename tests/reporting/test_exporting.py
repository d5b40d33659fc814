"""Runs for other people's tools: each format is read by the tool that it is for."""

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from emojibench.cli import app
from emojibench.errors import UserError

GOOD = {"c0": 0.010, "c1": 0.012, "c2": 0.011, "c3": 0.015}
HOSTILE = "<script>&\\input{x}"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def run(make_run) -> Path:
    return make_run(
        "r",
        {"l1": GOOD, "fvd": 12.5, "ssim": {**GOOD, "c2": HOSTILE}, "lpips_alex": "no weights", "odd": GOOD},
    )


def test_tables_are_those_of_the_report(run: Path) -> None:
    result = call("export", run, "--format", "csv")
    cells = {row["column"]: row for row in csv.DictReader(io.StringIO(result.stdout))}
    assert (cells["l1"]["value"], cells["l1"]["better"], cells["l1"]["n"]) == ("0.012", "lower", "4")
    assert (cells["lpips_alex"]["value"], cells["lpips_alex"]["reason"]) == ("", "no weights")
    text = call("export", run, "--format", "latex").stdout
    assert "\\toprule" in text
    assert "\\input{x}" not in text


def test_every_eval_ever_accepts_the_record(run: Path, tmp_path: Path) -> None:
    result = call("export", run, "--format", "eee", "--out", tmp_path, "--model", "some-lab/copy")
    file = Path(result.stdout.strip())
    assert re.fullmatch(
        r"data/emojibench/some-lab/copy/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.json",
        file.relative_to(tmp_path).as_posix(),
    )
    record = json.loads(file.read_text())
    scores = {each["metric_config"]["metric_name"]: each for each in record["evaluation_results"]}
    assert set(scores) == {"l1", "fvd", "ssim"}
    assert scores["l1"]["score_details"]["uncertainty"]["confidence_interval"]["confidence_level"] == 0.95
    assert "left out lpips_alex: no weights" in result.stderr
    assert "left out odd: neither lower nor higher is better" in result.stderr
    assert call("export", run, "--format", "eee", "--model", "some-lab/copy").stdout == file.read_text()
    validator = shutil.which("every_eval_ever")
    if validator is None:
        pytest.skip("the validator is not on PATH: `uv tool install every-eval-ever` (Python 3.12 or later)")
    command = [validator, "validate", "--format", "json", str(file.relative_to(tmp_path))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_hub_reads_the_entries(run: Path) -> None:
    hub = pytest.importorskip(
        "huggingface_hub", reason="huggingface_hub reads the format; extra `model` brings it"
    )
    result = call("export", run, "--format", "hf", "--hub-dataset", "some-lab/faces")
    entries = yaml.safe_load(result.stdout)
    parsed = [
        hub.EvalResultEntry(
            e["dataset"]["id"], e["dataset"]["task_id"], e["value"], date=e["date"], notes=e["notes"]
        )
        for e in entries
    ]
    assert hub.eval_result_entries_to_yaml(parsed) == entries
    assert [(each.dataset_id, each.task_id, each.date) for each in parsed[:1]] == [
        ("some-lab/faces", "self_fvd", "2026-01-01")
    ]
    assert "the dataset's id is a guess" in call("export", run, "--format", "hf").stderr


def test_the_hub_is_told_of_lost_frames(make_run) -> None:
    path = make_run("r", {"l1": GOOD, "id_sim": GOOD}, lost={"id_sim": 0.25})
    entries = yaml.safe_load(call("export", path, "--format", "hf").stdout)
    notes = {entry["dataset"]["task_id"]: entry["notes"] for entry in entries}
    assert ", 25.0 % lost, " in notes["self_id_sim"]
    assert "lost" not in notes["self_l1"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--format", "xml"), "--format: expected csv, latex, eee, hf, got 'xml'"),
        (("--format", "eee", "--model", "../x"), "--model: expected OWNER/NAME"),
        (("--format", "eee", "--model", "../.."), "--model: expected OWNER/NAME"),
        (("--format", "hf", "--hub-dataset", "a/b\n- x: y"), "--hub-dataset: expected OWNER/NAME"),
    ],
)  # fmt: skip
def test_wrong_flags_are_told(run: Path, flags: tuple[str, ...], message: str) -> None:
    result = call("export", run, *flags)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_a_run_that_does_not_say_when_it_was_is_refused(run: Path) -> None:
    file = run / "provenance.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"started": "yesterday"}))
    with pytest.raises(
        UserError, match=r"provenance\.json: started: expected a date and time, got 'yesterday'"
    ):
        raise call("export", run, "--format", "hf").exception
