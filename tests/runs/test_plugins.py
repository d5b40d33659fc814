"""Plug-ins that are broken: an error where they are asked for, one line of warning elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emojibench import registry
from emojibench.errors import UserError

BROKEN = {
    "absent": "no_such_module:Thing",
    "syntax": "broken_syntax:Thing",
    "exits": "broken_exit:Thing",
    "attribute": "fakes:NoSuchThing",
    "module": "fakes",
    "nothing": "broken_empty:EMPTY",
    "malformed": "not a reference",
}


@pytest.fixture
def broken(registered: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every kind of broken plug-in, as methods and as metrics, and one name that two packages register."""
    (registered / "broken_syntax.py").write_text("def Thing(:\n")
    (registered / "broken_exit.py").write_text("raise SystemExit('no licence \\ud800')\n")
    (registered / "broken_empty.py").write_text("EMPTY = None\n")
    for package, more in (("broken", ""), ("rival", "twice = fakes:FakeFace\n")):
        info = registered / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        entries = "".join(f"{name} = {value}\n" for name, value in BROKEN.items()) + "twice = fakes:FakeL1\n"
        text = f"[emojibench.methods]\n{entries}[emojibench.metrics]\n{entries}" if not more else ""
        (info / "entry_points.txt").write_text(text or f"[emojibench.metrics]\n{more}")
    monkeypatch.setattr(registry, "_warned", set())
    return registered


def test_broken_plugins_end_nothing_where_they_are_not_asked_for(
    broken: Path, bench: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = ("fake_l1", "fake_long")  # a column's name makes all metrics be looked through
    result = bench.run("fake", metrics=wanted, clips=1)
    assert result.failed == {}
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == len(BROKEN) + 1
    assert any("no licence \\ud800" in line for line in warnings)
    assert any("several packages register it: fakes:FakeFace, fakes:FakeL1" in line for line in warnings)


@pytest.mark.parametrize("name", [*BROKEN, "twice"])
def test_a_broken_plugin_that_is_asked_for_is_named_with_the_reason(
    broken: Path, bench: Any, name: str
) -> None:
    with pytest.raises(
        UserError, match=f"metric '{name}'.*(cannot be imported|is no metric|several packages)"
    ):
        bench.run("fake", metrics=[name], clips=1)
    assert not bench.out.exists()  # before any work


def test_lists_leave_broken_plugins_out(broken: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), str(broken), os.environ.get("PYTHONPATH", "")])
    for command, kind in (("methods", "method"), ("metrics", "metric")):
        done = subprocess.run(
            [sys.executable, "-m", "emojibench", command, "--json"], env=os.environ | {"PYTHONPATH": path},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        listed = {row[kind] for row in json.loads(done.stdout)}
        assert listed
        assert not listed & set(BROKEN)
        assert done.stderr.count("warning: left out: ") == len(done.stderr.splitlines()) >= len(BROKEN)


def test_the_traceback_of_a_method_that_cannot_be_opened_is_kept(bench: Any, capfd: Any) -> None:
    with pytest.raises(
        UserError, match=r"method 'fake' cannot be opened: AttributeError: .*\(traceback: .*animate"
    ) as error:
        bench.run("fake", options={"broken": "yes"})
    log = str(error.value).rpartition("traceback: ")[2].rstrip(")")
    assert "Traceback" in Path(log).read_text()
    assert "Traceback" not in capfd.readouterr().err
    assert bench.run("fake", clips=1).failed == {}  # the log alone is no stranger's folder
