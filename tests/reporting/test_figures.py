"""Figures of finished runs: what they show, how they look, and what they say where runs have no data for them."""

import csv
from pathlib import Path

import numpy as np
import pytest
from run_folders import CLIPS, MakeRun
from scipy.stats import kendalltau
from typer.testing import CliRunner

from emojibench.cli.commands import app
from emojibench.errors import UserError
from emojibench.reports import write_figures
from emojibench.reports.figures import style
from emojibench.reports.figures.drawing import FIGURES
from emojibench.reports.figures.of_clips import kendall, pareto_front

pytest.importorskip("matplotlib")
TURN = [0.0, 4.0, 12.0, 33.0]
METHODS = ("tps", "dagan", "mcnet", "a-method-with-a-name-that-is-much-too-long-for-any-legend")


def lines(file: Path) -> list[dict[str, str]]:
    with file.open() as text:
        return list(csv.DictReader(text))


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Methods that get worse with the head's turn, one of them of an older version without values of frames."""
    driving = {
        "driving_turn": dict.fromkeys(CLIPS, 33.0),
        "driving_mouth_open": {clip: i / 4 for i, clip in enumerate(CLIPS)},
        "driving_smile": dict.fromkeys(CLIPS, 0.0),
        "driving_eyes_closed": dict.fromkeys(CLIPS, 0.0),
    }
    for number, method in enumerate(METHODS, 1):
        each = {c: [number * (1 + t) / 100 + i / 1000 for t in TURN] for i, c in enumerate(CLIPS)}
        l1 = {clip: float(np.mean(values)) for clip, values in each.items()}
        ssim = {clip: 1 - value for clip, value in l1.items()}
        cost = {"latency_s": dict.fromkeys(CLIPS, 5000.0 / 10**number), "flops": dict.fromkeys(CLIPS, 1.0)}
        framed = {"l1": each, "driving_turn": dict.fromkeys(CLIPS, TURN)}
        framed["driving_smile"] = {
            clip: [0.0, 0.0, 0.0, 1.0] for clip in CLIPS
        }  # its value is of more frames
        values = {"l1": l1, "ssim": ssim, **cost, **driving}
        make_run(method, values, method=method, frames={} if method == "mcnet" else framed)
    return tmp_path / "runs"


def test_every_figure_is_written_for_print(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[float] = []
    texts: set[str] = set()
    widths = set()
    write = style.Figure.write

    def looked_at(figure: style.Figure, folder: Path) -> list[Path]:
        import matplotlib.text

        drawn = figure.drawing.findobj(matplotlib.text.Text)
        sizes.extend(text.get_fontsize() for text in drawn if text.get_text())
        texts.update(text.get_text() for text in drawn)
        widths.add(figure.drawing.get_figwidth())
        return write(figure, folder)

    monkeypatch.setattr(style.Figure, "write", looked_at)
    drawn, _ = write_figures(["all"], runs, tmp_path / "out")
    assert {file.name for file in drawn.files} == {
        f"{n}-self.{e}" for n in FIGURES for e in ("pdf", "png", "csv")
    }
    assert not drawn.absent
    assert min(sizes) >= 7
    assert not [text for text in texts if "$" in text]  # markup that is not set
    assert widths == {3.3}
    assert f"{METHODS[3][:29]}…" in texts  # in legends
    for file in (file for file in drawn.files if file.suffix == ".pdf"):
        content = file.read_bytes()
        assert b"/FontFile2" in content, file
        assert b"/Type3" not in content
    again, _ = write_figures(["yaw"], runs, tmp_path / "again")
    for other in again.files:
        (one,) = (file for file in drawn.files if file.name == other.name)
        assert one.read_bytes() == other.read_bytes(), one.name


def test_lines_are_means_of_the_frames_that_belong_there(runs: Path, tmp_path: Path) -> None:
    drawn, _ = write_figures(["yaw", "time"], runs, tmp_path)
    files = {file.name: lines(file) for file in drawn.files if file.suffix == ".csv"}
    tps = {float(p["x"]): p for p in files["yaw-self.csv"] if (p["row"], p["column"]) == ("tps", "l1")}
    assert set(tps) == {2.5, 12.5, 32.5}  # bins of 5 degrees that have frames
    assert float(tps[2.5]["mean"]) == pytest.approx((0.01 + 0.05) / 2 + 0.0015)
    assert (tps[2.5]["frames"], tps[2.5]["clips"]) == ("8", "4")
    assert float(tps[2.5]["low"]) < float(tps[2.5]["mean"]) < float(tps[2.5]["high"])
    time = [p for p in files["time-self.csv"] if (p["row"], p["column"]) == ("dagan", "l1")]
    assert [float(p["x"]) for p in time] == [1, 2, 3, 4]  # frame 0 of a self clip is not scored
    assert [float(p["mean"]) for p in time] == pytest.approx([0.02 * (1 + t) + 0.0015 for t in TURN])
    assert not [p for p in files["time-self.csv"] if p["row"] == "mcnet"]


def test_what_runs_have_no_data_for_is_said_by_name(make_run: MakeRun, tmp_path: Path) -> None:
    values = {"l1": dict(zip(CLIPS, (0.1, 0.2, 0.3, 0.4), strict=True))}
    old = make_run("old", values)
    drawn, _ = write_figures(["all"], tmp_path / "runs", tmp_path)
    told = {line.partition("-self")[0]: line for line in drawn.absent}
    assert set(told) == {"pareto", "expression", "yaw", "time", "agreement"}
    assert f"{old}: no values frame by frame" in told["time"]
    assert "two methods" in told["agreement"]
    for asked, message in {
        "time": "nothing to draw.*no values frame by frame",
        "tyme": "Did you mean 'time'",
        "radar": "emojibench data stats --figure",
    }.items():
        with pytest.raises(UserError, match=message):
            write_figures([asked], tmp_path / "runs", tmp_path)


def test_a_head_whose_turn_nobody_knows_is_said(make_run: MakeRun, tmp_path: Path) -> None:
    frames = {
        "l1": {clip: [0.2, 0.2] for clip in CLIPS},
        "driving_turn": {clip: [None, None] for clip in CLIPS},
    }
    values = {"l1": dict.fromkeys(CLIPS, 0.2), "driving_turn": dict.fromkeys(CLIPS, 33.0)}
    make_run("a", values, frames=frames)
    with pytest.raises(UserError, match=r"nothing to draw.*no clip that all runs have values of says where"):
        write_figures(["yaw"], tmp_path / "runs", tmp_path)


def test_the_command_prints_its_files(runs: Path, tmp_path: Path) -> None:
    call = ["report", "--figure", "pareto,agreement", "--runs", str(runs), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, call)
    files = [Path(line) for line in done.stdout.splitlines()]
    assert len(files) == 6
    assert all(file.is_file() for file in files)
    pareto = {(p["column"], p["row"]): p["front"] for p in lines(files[2]) if p["cost"] == "latency_s"}
    assert set(pareto.values()) == {"True"}  # each one better is dearer
    tau = {(p["column"], p["other"]): float(p["tau_b"]) for p in lines(files[5])}
    assert tau["l1", "ssim"] == 1.0
    wrong = CliRunner().invoke(app, [*call, "--json"])
    assert "--figure: goes with" in str(wrong.exception)


def test_frames_that_somebody_changed_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    l1 = dict.fromkeys(CLIPS, 0.2)
    cases = {
        "a mean of 0.9 over the frames, but a value of 0.2": {"c1": [0.9, 0.9, 0.9]},
        "values of 2 frames, other rows of this clip have 3": {"c1": [0.2, 0.2]},
    }
    for number, (message, changed) in enumerate(cases.items()):
        root = tmp_path / str(number)
        make_run(
            "good",
            {"l1": l1},
            method="a",
            frames={"l1": {clip: [0.1, 0.2, 0.3] for clip in CLIPS}},
            root=root,
        )
        drawn, _ = write_figures(["time"], root, tmp_path / "out")
        assert drawn.files
        make_run(
            "changed",
            {"l1": l1},
            frames={"l1": {**{clip: [0.2] * 3 for clip in CLIPS}, **changed}},
            root=root,
        )
        with pytest.raises(UserError, match=f"clip c1, l1: {message}; score the run again"):
            write_figures(["time"], root, tmp_path / "out")


def test_a_front_is_of_what_nothing_beats() -> None:
    points = {"a": (1.0, 5.0), "b": (2.0, 4.0), "c": (2.0, 6.0), "d": (3.0, 4.0), "e": (1.0, 5.0)}
    assert pareto_front(points, "lower") == {"a", "b", "e"}
    assert pareto_front(points, "higher") == {"a", "c", "e"}


def test_agreement_is_kendalls_tau_b() -> None:
    rng = np.random.default_rng(0)
    one, other = np.triu_indices(6, 1)
    for _ in range(5):
        a, b = rng.integers(0, 4, (2, 6)).astype(float)
        signs = [{"c": np.sign(x[one] - x[other])} for x in (a, b)]
        assert kendall(*signs)["c"] == pytest.approx(kendalltau(a, b, variant="b").statistic)
    assert kendall({"c": np.zeros(3)}, {"c": np.ones(3)}) == {}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.00004, 30, ["0.0001", "0.001", "0.01", "0.1", "1", "10"]),
        (0.00002, 0.0004, ["0.00003", "0.0001", "0.0003"]),
        (0.002, 0.4, ["0.003", "0.01", "0.03", "0.1", "0.3"]),
        (1350, 7900, ["1500", "3000", "6000"]),
        (1350, 4400, ["1500", "2000", "3000"]),
        (25, 95, ["30", "50", "70"]),
    ],
)
def test_a_logarithmic_axis_has_few_ticks_at_plain_numbers(
    low: float, high: float, expected: list[str]
) -> None:
    with style.paper() as pyplot:
        panel = pyplot.figure().subplots()
        panel.set(xscale="log", xlim=(low, high))
        style.plain_ticks(panel.xaxis)
        assert [
            panel.xaxis.get_major_formatter()(value) for value in panel.xaxis.get_majorticklocs()
        ] == expected
