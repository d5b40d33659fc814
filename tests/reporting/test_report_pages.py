"""Pages as a reader gets them."""

from pathlib import Path

import pytest

from emojibench.errors import UserError
from emojibench.reports import build_pages, report
from emojibench.reports.load import load_run

GOOD = {"c0": 0.010, "c1": 0.012, "c2": 0.011, "c3": 0.015}
BAD = {"c0": 0.050, "c1": 0.052, "c2": 0.051, "c3": 0.055}
MIXED = {"c0": 0.009, "c1": 0.013, "c2": 0.010, "c3": 0.015}


def page(tmp_path: Path) -> str:
    (path,) = report(tmp_path / "runs", tmp_path / "boards")
    return path.read_text()


def line(text: str, start: str) -> list[str]:
    """Cells of the first table line that starts with a cell."""
    found = next(row for row in text.splitlines() if row.startswith(f"| {start}"))
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_table_1_in_the_papers_shape(tmp_path: Path, make_run) -> None:
    make_run(
        "a-self", {"l1": BAD, "ssim": GOOD, "lpips_squeeze": BAD, "fvd": 900.0, "jitter": BAD}, method="a"
    )
    make_run("a-cross", {"l1": BAD, "id_sim": GOOD, "landmark_accuracy": BAD}, method="a", split="cross")
    text = page(tmp_path)
    assert line(text, "Method") == [
        "Method", "Self: L1 ↓", "Self: SSIM ↑", "Self: LPIPS (squeeze) ↓", "Self: FVD ↓",
        "Cross: ID similarity ↑", "Cross: Image quality", "Cross: Landmark accuracy ↑",
    ]  # fmt: skip
    assert line(text, "a ") == [
        "a", "0.052 [0.049, 0.056]", "0.012 [0.009, 0.016]", "0.052 [0.049, 0.056]", "900.0 (N = 4)",
        "0.012 [0.009, 0.016]", "–[1]", "0.1 [0.0, 0.1]",
    ]  # fmt: skip
    assert "- [1] this run did not measure it" in text
    assert line(text, "`l1` ↓") == [
        "`l1` ↓",
        "[0, 1]",
        "0.052 [0.049, 0.056]",
    ]  # cross L1 is a further column
    assert line(text, "`jitter` ↓")[2] == "0.052 [0.049, 0.056]"


def test_best_is_bold_only_beyond_a_tie(tmp_path: Path, make_run) -> None:
    make_run("good", {"l1": GOOD, "ssim": GOOD}, method="good")
    make_run("bad", {"l1": BAD, "ssim": MIXED}, method="bad")
    text = page(tmp_path)
    assert line(text, "good")[1] == "**0.012 [0.009, 0.016]**"
    assert line(text, "bad")[1] == "0.052 [0.049, 0.056]"
    assert (
        "**" not in line(text, "good")[2] + line(text, "bad")[2]
    )  # the paired interval does not exclude a tie


def test_direction_decides_what_is_best(tmp_path: Path, make_run) -> None:
    """Lower L1 and higher SSIM win: the same numbers make another row bold."""
    make_run("low", {"l1": GOOD, "ssim": GOOD}, method="low")
    make_run("high", {"l1": BAD, "ssim": BAD}, method="high")
    text = page(tmp_path)
    assert line(text, "low")[1].startswith("**")
    assert line(text, "high")[2].startswith("**")


def test_costs_are_never_bold(tmp_path: Path, make_run) -> None:
    make_run("quick", {"latency_s": GOOD}, method="quick")
    make_run("slow", {"latency_s": BAD}, method="slow")
    assert line(page(tmp_path), "`latency_s` ↓")[2:] == ["0.01 [0.01, 0.02]", "0.05 [0.05, 0.06]"]


def test_costs_from_different_devices_say_so(tmp_path: Path, make_run) -> None:
    """Seconds of another machine or of more workers are marked; operations and what is measured there are not."""
    make_run("here", {"latency_s": GOOD, "flops": GOOD, "l1": GOOD}, method="here")
    make_run("there", {"latency_s": BAD, "flops": BAD, "l1": BAD}, method="there", device="cuda: big", jobs=2)
    make_run("alone", {"latency_s": BAD}, method="here", split="cross")
    text = page(tmp_path)
    advice = "compare it only with costs that were made so"
    here, there = line(text, "`latency_s` ↓")[2:]
    assert f"- [{here[-2]}] made on cpu: test by 1 worker at a time; {advice}" in text
    assert f"- [{there[-2]}] made on cuda: big by 2 workers at a time; {advice}" in text
    unmarked = [*line(text, "`flops`")[2:], line(text, "here")[1]]
    unmarked += line(text.split("further columns, cross reenactment")[1], "`latency_s` ↓")[2:]
    assert all(cell.strip("*").count("[") == 1 for cell in unmarked), "only the interval is in brackets"


def test_costs_from_one_device_need_no_note(tmp_path: Path, make_run) -> None:
    make_run("quick", {"latency_s": GOOD}, method="quick", jobs=2)
    make_run("slow", {"latency_s": BAD}, method="slow", jobs=2)
    assert "compare it only" not in page(tmp_path)


def test_values_of_a_set_are_never_bold(tmp_path: Path, make_run) -> None:
    make_run("low", {"fvd": 100.0}, method="low")
    make_run("high", {"fvd": 900.0}, method="high")
    assert line(page(tmp_path), "low")[4] == "100.0 (N = 4)"


def test_what_is_unavailable_is_a_dash_with_its_reason(tmp_path: Path, make_run) -> None:
    make_run(
        "a", {"l1": GOOD, "lpips_alex": "alexnet weights are not here", "fvd": "I3D weights are not here"}
    )
    text = page(tmp_path)
    assert line(text, "copy-reference")[3:5] == ["–[2]", "–[3]"]
    assert "- [2] alexnet weights are not here" in text
    assert "- [3] I3D weights are not here" in text


def test_the_measured_backbone_is_shown_and_named(tmp_path: Path, make_run) -> None:
    make_run("a", {"lpips_alex": "alexnet weights are not here", "lpips_squeeze": GOOD})
    text = page(tmp_path)
    assert "Self: LPIPS (squeeze) ↓" in text
    assert "LPIPS (alex)" not in text
    assert line(text, "`lpips_alex` ↓")[2].startswith("–[")


def test_coverage_and_partial_runs_are_labelled(tmp_path: Path, make_run) -> None:
    make_run("whole", {"l1": BAD}, method="whole")
    make_run("few", {"l1": {"c0": 0.01, "c1": 0.01}}, method="few", clips=("c0", "c1"))
    gaps = {"c2": "RuntimeError: no"}
    make_run("broken", {"l1": GOOD | gaps}, method="broken", failed=gaps)
    make_run("faceless", {"l1": GOOD | {"c1": "no face"}}, method="faceless")
    text = page(tmp_path)
    assert line(text, "few")[0] == "few (partial, self: 2 of 4 clips)"
    away = {f"c{i}": 0.01 for i in range(4, 8)}
    make_run("others", {"l1": away}, method="others", clips=tuple(away))
    assert line(page(tmp_path), "others")[0] == "others (partial, self: other clips than broken)"
    assert line(text, "broken")[:2] == [
        "broken (partial, self: 1 of 4 clips failed)",
        "0.012 [0.006, 0.020] (3 of 4)[1]",
    ]
    assert "- [1] 1 of 4: RuntimeError: no" in text
    assert line(text, "faceless")[0] == "faceless"
    assert "**0" not in text  # not even the row that wins on the clips that it has


def test_means_over_surviving_frames_say_so_and_are_never_best(tmp_path: Path, make_run) -> None:
    make_run(
        "a", {"id_sim": BAD, "l1": GOOD}, method="survivor", split="cross", lost={"id_sim": 0.984, "l1": 0.0}
    )
    make_run("b", {"id_sim": GOOD, "l1": BAD}, method="whole", split="cross", lost={"id_sim": 0.0})
    old = {
        "id_sim": MIXED,
        "id_sim_detection": dict.fromkeys(GOOD, 0.99995),
    }  # an older summary does not say it
    make_run("c", old, method="old", split="cross")
    text = page(tmp_path)
    assert line(text, "survivor")[1] == "0.052 [0.049, 0.056] (98.4 % lost)"
    assert line(text, "whole")[1] == "0.012 [0.009, 0.016]"
    assert line(text, "old")[1].endswith("(0.1 % lost)")
    assert line(text, "`l1`")[3].startswith("**0.012")  # complete, and best


def test_one_portrait_gives_no_interval(tmp_path: Path, make_run) -> None:
    make_run("a", {"l1": GOOD}, subjects=dict.fromkeys(GOOD, "one person"))
    assert line(page(tmp_path), "copy-reference")[1] == "0.012"


def test_protocols_and_datasets_never_share_a_page(tmp_path: Path, make_run) -> None:
    make_run("a", {"l1": GOOD}, method="a")
    make_run("b", {"l1": BAD}, method="b", detector="mesh 2")
    make_run("c", {"l1": BAD}, method="c", digest="e2" * 32)
    paths = report(tmp_path / "runs", tmp_path / "boards")
    texts = [path.read_text() for path in paths]
    assert len(paths) == 3
    for text in texts:
        methods = [
            row
            for row in text.partition("## Published")[0].splitlines()
            if row.startswith(("| a", "| b", "| c"))
        ]
        assert len({row[2] for row in methods}) == 1


def test_published_rows_stand_apart(tmp_path: Path, make_run) -> None:
    make_run("a", {"l1": GOOD})
    measured, marker, published = page(tmp_path).partition("## Published: Table 1 of the paper")
    assert marker
    assert "DaGAN" not in measured
    assert "copy-reference" not in published
    assert "Not comparable" in published
    assert "arXiv:2509.16630" in published


def test_rows_of_one_method_are_told_apart(tmp_path: Path, make_run) -> None:
    make_run("seed-0", {"l1": GOOD})
    make_run("seed-1", {"l1": GOOD}, seed=1)
    text = page(tmp_path)
    assert "| copy-reference (seed-0)" in text
    assert "| copy-reference (seed-1)" in text


def test_the_same_runs_give_the_same_bytes(tmp_path: Path, make_run) -> None:
    for root in ("one", "two"):
        names = ("a", "b") if root == "one" else ("b", "a")
        for name in names:
            make_run(name, {"l1": GOOD, "fvd": 3.0}, method=name, root=tmp_path / root)
    first, second = (report(tmp_path / root, tmp_path / f"out-{root}")[0] for root in ("one", "two"))
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_a_metric_that_is_not_installed_is_shown_without_direction(tmp_path: Path, make_run) -> None:
    make_run("a", {"homemade": GOOD}, method="a")
    make_run("b", {"homemade": BAD}, method="b")
    assert line(page(tmp_path), "`homemade`") == [
        "`homemade`",
        "",
        "0.012 [0.009, 0.016]",
        "0.052 [0.049, 0.056]",
    ]


def test_unfinished_runs_are_left_out(tmp_path: Path, make_run) -> None:
    make_run("done", {"l1": GOOD})
    waiting = make_run("waiting", {"l1": GOOD}, finished=False)
    pages, unfinished = build_pages(tmp_path / "runs", tmp_path)
    assert len(pages) == 1
    assert unfinished == [waiting]


def test_nothing_to_report_is_an_error(tmp_path: Path, make_run) -> None:
    with pytest.raises(UserError, match="no finished run here; make one"):
        report(tmp_path, tmp_path / "boards")
    make_run("waiting", {"l1": GOOD}, finished=False)
    with pytest.raises(UserError, match="1 unfinished"):
        report(tmp_path / "runs", tmp_path / "boards")


def test_a_damaged_table_names_the_file(tmp_path: Path, make_run) -> None:
    (make_run("r", {"l1": GOOD}) / "rows.parquet").write_bytes(b"")
    with pytest.raises(UserError, match=r"r/rows\.parquet is damaged .* score the run again"):
        load_run(tmp_path / "runs" / "r")


def test_the_machine_is_the_one_that_animated(tmp_path: Path, make_run) -> None:
    run = load_run(make_run("r", {"l1": GOOD}, scored_on="cuda: another one"))
    assert run.animated.device == "cpu: test"
    assert run.animated.platform.jobs == 1


def test_values_of_an_older_version_of_a_metric_are_dashes(tmp_path: Path, make_run) -> None:
    for version, method in ((1, "copy-reference"), (2, "landmark-warp")):
        make_run(method, {"sharpness": GOOD}, method=method, versions={"sharpness": version})
    text = page(tmp_path)
    cells = line(text, "`sharpness`")[2:]
    assert cells[1] == "0.012 [0.009, 0.016]"
    (note,) = [
        row for row in text.splitlines() if "version 1 of the metric, others have 2; score again" in row
    ]
    assert note.startswith(f"- {cells[0].removeprefix('–')} ")
