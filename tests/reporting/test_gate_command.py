"""`emojibench gate` and `emojibench report` as a shell sees them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from emojibench.cli import app
from emojibench.errors import UserError

BASE = {"c0": 0.010, "c1": 0.020, "c2": 0.030, "c3": 0.040}
WORSE = {clip: value + 0.01 for clip, value in BASE.items()}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_exit_codes(make_run) -> None:
    good, bad = make_run("good", {"l1": BASE}), make_run("bad", {"l1": WORSE})
    blind = make_run("blind", {"l1": "no weights"})
    for baseline, run, code in ((good, good, 0), (good, bad, 1), (bad, good, 4), (good, blind, 3)):
        assert call("gate", "--baseline", baseline, "--run", run).exit_code == code


def test_usage_errors(make_run, tmp_path: Path) -> None:
    good = make_run("good", {"l1": BASE})
    missing = call("gate", "--baseline", good, "--run", tmp_path / "nowhere")
    assert isinstance(missing.exception, UserError)  # the entry point turns it into exit code 2
    unreadable = call("gate", "--baseline", good, "--run", good, "--tolerance", "l1")
    assert isinstance(unreadable.exception, UserError)
    assert "--run: expected a run folder" in str(call("gate", "--baseline", good).exception)


def test_the_table(make_run) -> None:
    good, bad = make_run("good", {"l1": BASE}), make_run("bad", {"l1": WORSE})
    lines = call("gate", "--baseline", good, "--run", bad).stdout.splitlines()
    assert lines[0] == "## Gate: regressed"
    cells = [cell.strip() for cell in lines[6].strip("|").split("|")]
    assert cells == [
        "l1 ↓", "0.0250", "0.0350", "+0.0100", "[+0.0100, +0.0100]", "0.0000", "0.0010", "4", "**regressed**",
    ]  # fmt: skip


def test_json_is_alone_on_stdout(make_run, tmp_path: Path) -> None:
    run = make_run("a", {"l1": BASE, "lpips_alex": "no weights"})
    judged = json.loads(call("gate", "--baseline", run, "--run", run, "--json").stdout)
    assert judged["verdict"] == "same"
    assert [c["column"] for c in judged["columns"]] == ["l1", "lpips_alex"]
    (track,) = json.loads(call("report", "--runs", tmp_path / "runs", "--out", tmp_path, "--json").stdout)
    columns = track["rows"][0]["runs"]["self"]["columns"]
    assert columns["l1"]["mean"] == pytest.approx(0.025)
    assert columns["lpips_alex"]["reason"] == "no weights"


def test_report_prints_what_it_writes(make_run, tmp_path: Path) -> None:
    make_run("a", {"l1": BASE})
    result = call("report", "--runs", tmp_path / "runs", "--out", tmp_path / "boards")
    (page,) = (tmp_path / "boards" / "local").iterdir()
    assert result.stdout == page.read_text()
    assert f"wrote {page}" in result.stderr


def test_accepting_keeps_the_rows_and_drops_the_machine(make_run, tmp_path: Path) -> None:
    reason = "/home/somebody/weights/alex.pth is not here; see https://example.org/weights/alex.pth"
    run = make_run("a", {"l1": BASE, "lpips_alex": reason})
    boards = tmp_path / "boards"
    assert call("report", "--accept", run, "--out", boards).exit_code == 0
    (kept,) = (boards / "accepted").glob("*/copy-reference-self")
    assert sorted(file.name for file in kept.iterdir()) == [
        "provenance.json", "receipt.json", "rows.parquet", "spec.json", "summary.json",
    ]  # fmt: skip
    text = "".join(file.read_bytes().decode(errors="replace") for file in kept.iterdir())
    assert "somebody" not in text
    assert "alex.pth is not here; see https://example.org/weights/alex.pth" in text
    page = boards / f"{kept.parent.name}.md"
    assert "0.025" in page.read_text()
    assert (boards / "published.md").exists()
    assert call("gate", "--baseline", kept, "--run", run).exit_code == 0


def test_a_run_without_any_animation_is_refused_and_none_is_accepted_twice(make_run, tmp_path: Path) -> None:
    broken = make_run("broken", {"l1": BASE}, failed=dict.fromkeys(BASE, "RuntimeError: no"))
    refused = call("report", "--accept", broken, "--out", tmp_path)
    assert "failed on every clip, first c0: RuntimeError: no" in str(refused.exception)
    whole = make_run("whole", {"l1": BASE})
    assert call("report", "--accept", whole, "--out", tmp_path).exit_code == 0
    assert "already accepted" in str(call("report", "--accept", whole, "--out", tmp_path).exception)
