"""Commands as methods of whole runs: by their file, by a plug-in, several clips at once; and the contract check."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from emojibench.errors import UserError
from emojibench.media.sound import RATE, write_wav
from emojibench.methods import finding
from emojibench.reports.load import load_run
from emojibench.reports.tables import build_track
from emojibench.runs import contract
from emojibench.runs.generate import AnimateHandler

BASELINE = Path(__file__).parents[1] / "methods" / "fake_baseline.py"
ARGUMENTS = (
    "--portrait {portrait} --driving {driving} --out {out} --frames {frames} --fps {fps} --seed {seed}"
)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(words: str = ARGUMENTS, name: str = "mine", **fields: Any) -> str:
        content = {
            "name": name, "command": f"python {BASELINE} {words}", "input": "landmarks.npz",
            "output": {"kind": "pictures"},
        }  # fmt: skip
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content | fields))
        return str(path)

    return write


def record(folder: Path, clip: str) -> dict[str, Any]:
    return dict(json.loads((folder / "animations" / clip / "animation.json").read_text()))


def test_a_file_is_a_method(bench: Any, file: Any) -> None:
    about = {
        "label": "zero-shot, public checkpoint", "motion": {"mode": "relative"},
        "licence": {"name": "MIT", "commercial": True},
    }  # fmt: skip
    result = bench.run(file(**about), split="cross", clips=2)
    assert not result.failed
    assert result.summary.title == "mine (zero-shot, public checkpoint)"
    provenance = json.loads((result.folder / "provenance.json").read_text())
    animated = provenance["earlier"][0]
    assert animated["method"] | {"revision": ""} == {
        "name": "mine", "options": {}, "revision": "", "label": "zero-shot, public checkpoint", "motion": "relative",
        "licence": "MIT", "commercial use": "allowed",
    }  # fmt: skip
    made = record(result.folder, "a")
    assert (made["memory_kind"], made["warm_up"], made["flops"], made["shared"]) == (
        "processes",
        False,
        None,
        1,
    )
    before = (result.folder / "animations" / "a" / "animation.json").stat().st_mtime_ns
    bench.run(file(**about), split="cross", clips=2)
    assert (result.folder / "animations" / "a" / "animation.json").stat().st_mtime_ns == before
    track = build_track("t", [load_run(result.folder)])
    assert [entry.label for entry in track.entries] == ["mine (zero-shot, public checkpoint)"]


def test_what_is_driven_by_sound_is_not_judged_by_landmarks(bench: Any, file: Any, tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", np.ones(RATE, np.int16))
    path = file(f"{ARGUMENTS} --sound {{sound}}", motion={"mode": "audio"})
    result = bench.run(path, clips=2, split="cross", options={"sound": str(tmp_path / "speech.wav")})
    assert not result.failed
    rows = result.rows().query("clip_id == 'a'").set_index("metric")
    assert rows.loc["fake_l1", "status"] == "ok"
    assert rows.loc["fake_face", "status"] == "undefined"
    assert rows.loc["fake_face", "reason"] == "driven by sound, which says nothing of where the head goes"
    silent = bench.run(path, clips=2, split="cross", name="silent")
    assert (
        "mine needs the sound of clip a, which the dataset does not have; give recordings with --set sound="
        in (silent.rows()["reason"].iloc[0])
    )


def test_several_clips_are_made_by_one_command(bench: Any, file: Any) -> None:
    together = bench.run(file("--clips {clips}"), name="together")
    alone = bench.run(file("--clips {clips}"), name="alone", options={"batch": "1"})
    records = [record(together.folder, clip) for clip in "abcd"]
    assert [each["shared"] for each in records] == [4] * 4
    assert [each["digest"] for each in records] == [record(alone.folder, clip)["digest"] for clip in "abcd"]
    assert together.summary.metrics["latency_s"].note == "amortised: 4 clips were made together"
    assert alone.summary.metrics["latency_s"].note == ""


def test_a_command_that_fails_fails_all_its_clips(bench: Any, file: Any) -> None:
    result = bench.run(file("--clips {clips} --fault crash"), clips=3)
    assert set(result.failed) == {"a", "b", "c"}
    assert "mine: the command ended with exit code 1: RuntimeError: CUDA out of memory" in result.failed["c"]
    for clip in "abc":
        assert "loading the model" in (result.folder / "logs" / f"animate-{clip}.txt").read_text()
    assert result.exit_code == 3


def test_a_plug_in_may_name_a_file_or_a_command(bench: Any, file: Any, registered: Path) -> None:
    path = file()
    (registered / "my_plugin.py").write_text(
        "from pathlib import Path\nfrom emojibench.methods.command import Command\n"
        f"FILE = Path({path!r})\nTEXT = {path!r}\nCOMMAND = Command(FILE)\n"
    )
    info = registered / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    lines = "mine-file = my_plugin:FILE\nmine-text = my_plugin:TEXT\nmine-command = my_plugin:COMMAND\n"
    (info / "entry_points.txt").write_text(f"[emojibench.methods]\n{lines}")
    digests = set()
    for name in ("mine-file", "mine-text", "mine-command"):
        result = bench.run(name, clips=1, name=name)
        assert not result.failed
        digests.add(record(result.folder, "a")["digest"])
    assert len(digests) == 1
    with pytest.raises(UserError, match="--set: unknown option 'spede'"):
        bench.run("mine-file", clips=1, options={"spede": "1"}, name="r2")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"gone\.yaml: no such file"):
        finding.checked("./gone.yaml")


@pytest.fixture
def verdicts(registered: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import fakes

    monkeypatch.setattr(contract, "load_dataset", fakes.load_dataset)

    def judged(method: str, **more: Any) -> dict[str, str]:
        checks = contract.check_method(method, frames=4, timeout=30, **more)
        return {check.check: check.detail for check in checks if check.verdict == "fail"}

    return judged


def test_a_good_command_keeps_the_contract(verdicts: Any, file: Any) -> None:
    assert verdicts(file()) == {}
    assert verdicts(file("--clips {clips}")) == {}


FAULTS = {
    "state": {"same seed, same frames", "another order, another process", "goes on after it"},
    "child": {"frames", "second clip", "leaves no process behind"},
    "beside": {"frames", "second clip", "writes only in its own folder"},
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_command_that_does_not_is_told_what(verdicts: Any, file: Any, fault: str) -> None:
    assert set(verdicts(file(f"{ARGUMENTS} --fault {fault}"))) == FAULTS[fault]


def test_what_a_shell_writes_elsewhere_is_seen(verdicts: Any, file: Any, tmp_path: Path) -> None:
    script = f"date > {tmp_path}/stray.txt; exec python {BASELINE} {ARGUMENTS}"
    failed = verdicts(file(command=["sh", "-c", script]))
    assert list(failed) == ["writes only in its own folder"]
    assert "stray.txt" in failed["writes only in its own folder"]


def test_a_command_that_hides_failures_is_found_out(verdicts: Any, file: Any) -> None:
    words = f"{ARGUMENTS} --fault lenient"
    assert list(verdicts(file(words))) == ["reports a failure"]


METHODS = """
import subprocess
import sys
from pathlib import Path

import numpy as np

from emojibench.methods import Animation


class Method:
    name, revision = "plain", "1"

    def __init__(self, options):
        self.fault, self.made = options.get("fault"), 0

    def animate(self, clip, *, seed, progress):
        self.made += 1
        frames = np.repeat(clip.portrait[None], clip.frames, axis=0)
        if self.fault == "state":
            frames[:, 0, 0] = self.made
        if self.fault == "writes":
            Path("debug.txt").write_text(str(self.made))
        if self.fault == "child":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        if self.fault == "dies":
            import os; os._exit(3)
        return Animation(frames.astype(float) if self.fault == "float" else frames, 25.0)
"""


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        ("state", {"same seed, same frames", "another order, another process", "goes on after it"}),
        ("writes", {"writes only in its own folder"}),
        pytest.param("", set(), marks=pytest.mark.slow),
        pytest.param("child", {"leaves no process behind"}, marks=pytest.mark.slow),
        pytest.param("float", {"frames", "second clip"}, marks=pytest.mark.slow),
        pytest.param("dies", {"frames", "second clip", "reports a failure"}, marks=pytest.mark.slow),
    ],
)
def test_classes_are_checked_too(
    verdicts: Any,
    registered: Path,
    fault: str,
    failed: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (registered / "plain_methods.py").write_text(METHODS)
    info = registered / "plain-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plain\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[emojibench.methods]\nplain = plain_methods:Method\n")
    monkeypatch.chdir(tmp_path)
    assert set(verdicts("plain", options={"fault": fault} if fault else {})) == failed


@pytest.mark.parametrize("about", [{"label": "a | b"}, {"label": 3}, "zero-shot", {"label": "x" * 501}])
def test_what_a_method_says_of_itself_can_be_printed(about: Any) -> None:
    method: Any = SimpleNamespace(name="m", revision="1", outside=True, about=about)
    with pytest.raises(
        UserError, match="method 'm': about: expected texts of at most 500 printable characters"
    ):
        AnimateHandler(method, None, 0)  # type: ignore[arg-type]
