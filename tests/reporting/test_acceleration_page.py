import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_folders import MakeRun

from emojibench.errors import UserError
from emojibench.fye.acceleration.comparing import AccelerationRow, figures, worst
from emojibench.fye.acceleration.fidelity import Distances
from emojibench.fye.acceleration.figures import curves, kept_curves, write_figures
from emojibench.fye.acceleration.page import write_acceleration
from emojibench.fye.acceleration.tracing import ClipTrace
from emojibench.reports.load import load_run

CLIPS = ("c0", "c1", "c2", "c3")


def trace(
    offset: float, flops: list[float], errors: list[float] | None, kept: int | None = 2**20
) -> ClipTrace:
    latents = np.full((10, 2, 3, 3), 1 + offset, np.float32)
    return ClipTrace(latents, np.array(flops), kept, None if errors is None else np.array(errors))


@pytest.fixture
def rows(make_run: MakeRun) -> list[AccelerationRow]:
    def row(
        name: str, groups: tuple[str, ...], l1: float, seconds: float, **measured: object
    ) -> AccelerationRow:
        values = {"l1": dict(zip(CLIPS, (l1, l1 + 0.01, l1, l1 - 0.01), strict=True))}
        values["latency_denoise_s"] = dict.fromkeys(CLIPS, seconds)
        run = load_run(make_run(name, values, method="fye-faster" if name in ("base", "more") else "fye+tic"))
        return AccelerationRow(name, name.title(), groups, run, **measured)  # type: ignore[arg-type]

    def apart(mse: float, lpips: float | None) -> Mapping[str, Distances]:
        tail = [mse] * 19 + [11 * mse]
        return {
            clip: Distances(clip, tail, None if lpips is None else [lpips + 0.01 * k] * 20)
            for k, clip in enumerate(CLIPS)
        }

    full = [4e9, 4e9, 2e9, 2e9]
    return [
        row("base", ("table3",), 0.05, 8.0, traces={"c0": trace(0, full, [0] * 4)}, distances=apart(0, 0)),
        row(
            "cached", ("table3",), 0.20, 2.0,
            traces={"c0": trace(0.1, [4e9, 1e9, 2e9, 0.5e9], [0, 0, 0.1, 0.2])}, distances=apart(1e-4, 0.03),
        ),
        row(
            "more", ("floor",), 0.05, 16.0,
            traces={"c0": trace(0.3, [3e9] * 8, None, None)}, distances=apart(0, None),
        ),
        AccelerationRow("absent", "Absent", ("table3",), None, "not run yet"),
    ]  # fmt: skip


def test_figures_are_relative_to_the_first_row(rows: list[AccelerationRow]) -> None:
    known = figures(rows)
    assert set(known) == {"base", "cached", "more"}
    cached = known["cached"]
    assert (cached.flops, cached.flops_speedup) == (7.5e9, 1.6)
    assert cached.cached_step == pytest.approx((1 / 4 + 1 / 4) / 2)
    assert cached.seconds is not None
    assert (cached.seconds.mean, cached.seconds_speedup) == (2, 4)
    assert cached.latent is not None
    assert cached.latent.mean == pytest.approx(0.1, rel=1e-6)
    assert cached.latent_far == pytest.approx(0.2 / 1.3, rel=1e-6)
    assert cached.mse is not None
    assert cached.mse.mean == pytest.approx(1.5e-4)
    assert cached.mse_tail == pytest.approx(11e-4)  # 4 of 80 frames
    assert cached.lpips is not None
    assert cached.lpips.mean == pytest.approx(0.045)
    assert cached.lpips.low < 0.045 < cached.lpips.high
    assert known["base"].cached_step is None
    more = known["more"]
    assert (more.cached_step, more.cached_bytes, more.lpips) == (
        None,
        None,
        None,
    )  # other steps, unknown, unavailable


def test_the_page_says_what_is_missing_and_what_leaves_the_interval(
    rows: list[AccelerationRow], tmp_path: Path
) -> None:
    page = write_acceleration(rows, tmp_path / "new" / "page.md", "lpips-squeeze: no such file")
    assert (tmp_path / "new" / "page.md").read_text() == page
    table = page.split("## The paper's Table 3")[1].split("##")[0]
    (line,) = [line for line in table.splitlines() if line.startswith("| Cached") and "1.60" in line]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells[:7] == ["8", "1.60", "2.0 [2.0, 2.0]", "4.00", "25.0", "1.0", "0.1000"]
    assert cells[9:11] == ["1.500 [1.500, 1.500]", "11.00"]
    assert cells[11].startswith("45.000 [")
    assert cells[12] == "60.00"
    assert "| Absent | –[" in " ".join(table.split())
    assert "] not run yet" in page
    assert (
        "] lpips-squeeze: no such file" not in page
    )  # the row without LPIPS shares no table with another one
    inside = page.split("interval of the uncached run")[1].split("##")[0]
    assert "| Cached | 0            | L1      |" in inside
    assert "| More   | 1            | none    |" in inside
    assert "n = 4 clips" in page
    assert "Seconds are of the machine below, one clip at a time." in page
    data = {row["name"]: row for row in json.loads((tmp_path / "new" / "page.json").read_text())["rows"]}
    assert data["cached"]["lpips"]["mean"] == pytest.approx(0.045)
    assert data["absent"] == {
        "name": "absent",
        "title": "Absent",
        "groups": ["table3"],
        "missing": "not run yet",
    }


def test_the_page_says_how_many_clips_shared_the_machine(make_run: MakeRun, tmp_path: Path) -> None:
    run = load_run(make_run("base", {"l1": dict.fromkeys(CLIPS, 0.1)}, jobs=2))
    page = write_acceleration([AccelerationRow("base", "Base", ("table3",), run)], tmp_path / "page.md")
    assert "Seconds are of the machine below, 2 clips side by side." in page


def test_rows_on_fewer_clips_say_so_and_are_not_held_against_the_interval(
    rows: list[AccelerationRow], make_run: MakeRun, tmp_path: Path
) -> None:
    few = load_run(make_run("few", {"l1": dict.fromkeys(CLIPS[:2], 0.9)}, clips=CLIPS[:2]))
    page = write_acceleration([*rows, AccelerationRow("few", "Few", ("table3",), few)], tmp_path / "page.md")
    table = page.split("## The paper's Table 3")[1].split("##")[0]
    assert "| Few, n = 2 " in table
    assert "| Cached " in table
    assert "Few" not in page.split("interval of the uncached run")[1].split("##")[0]


def test_figures_are_drawn_with_their_data(rows: list[AccelerationRow], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_acceleration(rows, page)
    files = write_figures(page, curves(rows))
    names = [f"{name}.{ending}" for name in ("pareto", "steps") for ending in ("pdf", "png", "csv")]
    assert [file.name for file in files] == names
    with files[2].open() as file:
        points = {row["row"]: row for row in csv.DictReader(file)}
    assert set(points) == {"cached", "more"}
    assert float(points["cached"]["gflop"]) == 7.5
    assert float(points["cached"]["lpips_tail"]) == pytest.approx(0.06)
    assert points["more"]["lpips"] == ""
    with files[5].open() as file:
        assert [float(row["cached"]) for row in csv.DictReader(file)] == pytest.approx(
            [0, 0, 0.1, 0.2, 0.1]
        )  # and in the end
    for file in (files[1], files[4]):
        with Image.open(file) as picture:
            assert len(picture.convert("L").getcolors(256) or ()) > 20
    drawn = {file: file.read_bytes() for file in files}
    for file in files:
        if file.name != "steps.csv":
            file.unlink()
    assert write_figures(page, kept_curves(page)) == files  # again, without the runs
    assert {file: file.read_bytes() for file in files} == drawn
    files[5].write_text("step,cached\n0,x\n")
    with pytest.raises(UserError, match=r"steps\.csv: not the errors of steps"):
        kept_curves(page)
    alone = tmp_path / "nothing" / "page.md"
    write_acceleration(rows[:1], alone)
    assert write_figures(alone, kept_curves(alone)) == []


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (19, 1), (20, 1), (40, 2), (100, 5)])
def test_the_tail_is_a_twentieth_of_the_frames(count: int, kept: int) -> None:
    values = np.arange(count)
    assert worst(values[::-1]) == values[-kept:].mean()
