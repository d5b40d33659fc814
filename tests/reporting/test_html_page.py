"""The page for browsers as data on disk; tests/reporting/test_html_browser.py looks at it in a browser."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from typer.testing import CliRunner

from emojibench.cli import app
from emojibench.errors import UserError
from emojibench.reports import write_html
from emojibench.reports.blocks import measured
from emojibench.reports.load import find_runs, load_run
from emojibench.reports.page import build, sheets
from emojibench.runs.folder import RunFolder

GOOD = {"c0": 0.010, "c1": 0.012, "c2": 0.011, "c3": 0.015}
BAD = {"c0": 0.050, "c1": 0.052, "c2": 0.051, "c3": 0.055}
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"


def data(page: Path, name: str) -> Any:
    """What a data file hands to the page."""
    text = (page / "data" / f"{name}.js").read_text("ascii")
    start = f'EB.put("{name}",'
    assert text.startswith(start)
    assert text.endswith(");\n")
    return json.loads(text[len(start) : -3])


def made(tmp_path: Path) -> Path:
    page, _ = write_html(tmp_path / "runs", tmp_path / "boards", quiet=True)
    return page.index.parent


def with_domains(run: Path, *domains: str) -> None:
    """Give each clip of a run a domain."""
    table = parquet.read_table(run / "rows.parquet")
    clips = table["clip_id"].to_pylist()
    column = pyarrow.array([domains[sorted(set(clips)).index(clip)] for clip in clips])
    index = table.schema.get_field_index("domain")
    parquet.write_table(table.set_column(index, "domain", column), run / "rows.parquet")


def test_cells_are_those_of_the_report(tmp_path: Path, make_run) -> None:
    good = make_run("good", {"l1": GOOD, "fvd": 12.0, "lpips_alex": "no weights"}, method="good")
    make_run("bad", {"l1": BAD | {"c1": "no face"}, "fvd": 90.0}, method="bad")
    (track,) = data(made(tmp_path), "index")["tracks"]
    bad_cells, good_cells = (entry["runs"]["self"]["cells"] for entry in track["views"][""])
    summary = load_run(good).summaries["l1"]
    assert good_cells["l1"]["text"] == measured(summary).text
    assert good_cells["l1"]["value"] == summary.mean
    assert good_cells["l1"]["best"]
    assert good_cells["fvd"]["lacks"] == "N = 4"
    assert track["notes"][good_cells["lpips_alex"]["notes"][0]] == "no weights"
    assert "value" not in good_cells["lpips_alex"]
    assert bad_cells["l1"]["lacks"] == "3 of 4"
    assert "best" not in bad_cells["l1"]
    assert track["notes"][bad_cells["lpips_alex"]["notes"][0]] == "this run did not measure it"


def test_a_domain_has_the_statistics_of_its_clips(tmp_path: Path, make_run) -> None:
    run = make_run(
        "a", {"l1": GOOD, "fvd": 12.0}, subjects=dict.fromkeys(("c0", "c1"), "x") | {"c2": "y", "c3": "z"}
    )
    with_domains(run, "animal", "cartoon", "cartoon", "cartoon")
    (track,) = data(made(tmp_path), "index")["tracks"]
    assert track["domains"] == ["animal", "cartoon"]
    cartoon = track["views"]["cartoon"][0]["runs"]["self"]
    assert cartoon["clips"] == 3
    assert cartoon["cells"]["l1"]["value"] == pytest.approx(np.mean([0.012, 0.011, 0.015]))
    assert cartoon["cells"]["l1"]["low"] < cartoon["cells"]["l1"]["value"] < cartoon["cells"]["l1"]["high"]
    animal = track["views"]["animal"][0]["runs"]["self"]["cells"]
    assert animal["l1"]["text"] == "0.010"  # one portrait gives no interval
    assert "value" not in animal["fvd"]
    assert (
        track["notes"][animal["fvd"]["notes"][0]]
        == "one value of all clips together; a part of them has none"
    )


def test_tracks_have_tables_of_their_own(tmp_path: Path, make_run) -> None:
    make_run("a", {"l1": GOOD}, method="a")
    make_run("b", {"l1": BAD}, method="b", digest="e2" * 32)
    make_run("c", {"l1": BAD}, method="c", detector="mesh 2")
    tracks = data(made(tmp_path), "index")["tracks"]
    assert sorted(entry["label"] for track in tracks for entry in track["views"][""]) == ["a", "b", "c"]
    assert len(tracks) == 3


def test_nothing_in_the_data_can_be_markup(tmp_path: Path, make_run) -> None:
    run = make_run(
        "a", {"l1": GOOD | {"c3": HOSTILE}, "fvd": HOSTILE}, revision=HOSTILE, options={"style": HOSTILE},
        subjects={clip: f"{HOSTILE} {clip}" for clip in GOOD}, failed={"c3": HOSTILE},
    )  # fmt: skip
    with_domains(run, HOSTILE, HOSTILE, "plain", "plain")
    page = made(tmp_path)
    for file in (page / "data").iterdir():
        assert "<" not in file.read_text()
    (track,) = data(page, "index")["tracks"]
    assert track["runs"][0]["revision"] == HOSTILE  # shown as it is, as text
    assert {file.name for file in page.iterdir()} == {".emojibench-page", "data", "index.html", "static"}


@pytest.mark.parametrize("field", ["method", "dataset", "name", "clips"])
def test_names_that_could_be_markup_are_refused(tmp_path: Path, make_run, field: str) -> None:
    run = make_run("a", {"l1": GOOD})
    spec = json.loads((run / "spec.json").read_text())
    spec[field] = [HOSTILE] if field == "clips" else HOSTILE
    (run / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(UserError, match=r"spec\.json"):
        made(tmp_path)


def test_changed_rows_are_refused(tmp_path: Path, make_run) -> None:
    run = make_run("a", {"l1": GOOD})
    table = parquet.read_table(run / "rows.parquet")
    values = [value / 2 for value in table["value"].to_pylist()]
    index = table.schema.get_field_index("value")
    parquet.write_table(table.set_column(index, "value", pyarrow.array(values)), run / "rows.parquet")
    with pytest.raises(
        UserError, match=r"rows\.parquet: the values of l1 have a mean of 0\.006, but .* says 0\.012"
    ):
        made(tmp_path)
    (run / "rows.parquet").write_bytes((run / "rows.parquet").read_bytes()[:-20])
    with pytest.raises(UserError, match=r"rows\.parquet is damaged"):
        made(tmp_path)


def test_a_run_without_frames_says_which_files_are_missing(tmp_path: Path, make_run) -> None:
    make_run("a", {"l1": GOOD}, failed={"c3": "RuntimeError: no"})
    page, _ = write_html(tmp_path / "runs", tmp_path / "boards", quiet=True)
    assert page.missing == {tmp_path / "runs" / "a": 4}
    (track,) = data(page.index.parent, "index")["tracks"]
    run = data(page.index.parent, track["runs"][0]["file"])
    reasons = [run["reasons"][run["absent"][str(number)]] for number in range(4)]
    assert reasons[0] == "animations/c0/frames.mkv is not in the run folder"
    assert reasons[3] == "the method failed: RuntimeError: no"
    assert run["animations"] == [None] * 4


def test_runs_that_are_being_written_are_left_out(
    tmp_path: Path, make_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run("a", {"l1": GOOD}, method="a")
    busy = make_run("b", {"l1": BAD}, method="b")
    pictures = build._pictures

    def meanwhile(*arguments: Any) -> Any:
        os.utime(busy / "summary.json", ns=(1, 1))
        return pictures(*arguments)

    monkeypatch.setattr(build, "_pictures", meanwhile)
    page, _ = write_html(tmp_path / "runs", tmp_path / "boards", quiet=True)
    index = data(page.index.parent, "index")
    assert page.changed == (busy,)
    assert index["left_out"] == ["b"]
    assert [entry["label"] for entry in index["tracks"][0]["views"][""]] == ["a"]


def test_a_run_that_changes_while_it_is_read_counts_as_unfinished(
    tmp_path: Path, make_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = make_run("a", {"l1": GOOD})
    monkeypatch.setattr(RunFolder, "spec", lambda folder: (folder.path / "summary.json").unlink())
    assert find_runs(tmp_path / "runs") == ([], [busy])


@pytest.mark.parametrize("name", ["notes.txt", "data/notes.js", "media/mine.webp", "static/mine/app.js"])
def test_foreign_files_are_never_touched(tmp_path: Path, make_run, name: str) -> None:
    make_run("a", {"l1": GOOD})
    page = made(tmp_path)
    for folder in (page, tmp_path / "other" / "local" / "html"):
        mine = folder / name
        mine.parent.mkdir(parents=True, exist_ok=True)
        mine.write_text("mine")
        with pytest.raises(UserError, match=r"expected an empty folder or a page made earlier, but it holds"):
            write_html(tmp_path / "runs", folder.parents[1], quiet=True)
        assert mine.read_text() == "mine"


def test_links_out_of_the_page_are_not_followed(tmp_path: Path, make_run) -> None:
    make_run("a", {"l1": GOOD})
    page = made(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (page / "media").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="'media'"):
        made(tmp_path)


def test_a_page_is_made_again_in_place(tmp_path: Path, make_run) -> None:
    make_run("a", {"l1": GOOD}, method="a")
    gone = make_run("b", {"l1": BAD}, method="b")
    page = made(tmp_path)
    before = {file.name for file in (page / "data").iterdir()}
    (page / "data" / ".r-0.1-0a0b0c0d.js").write_text("what a killed command was writing")
    shutil.rmtree(gone)
    made(tmp_path)
    after = {file.name for file in (page / "data").glob("r-*")}
    assert len(after) == 1
    assert after < before


def test_the_command(tmp_path: Path, make_run) -> None:
    make_run("a", {"l1": GOOD})
    base = ["report", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "boards")]
    done = CliRunner().invoke(app, [*base, "--html"])
    assert done.exit_code == 0
    assert done.stdout == f"{tmp_path / 'boards' / 'local' / 'html' / 'index.html'}\n"
    assert "4 clips cannot be played" in done.stderr
    for wrong in (["--videos", "3"], ["--html", "--json"], ["--html", "--videos", "-1"]):
        assert isinstance(CliRunner().invoke(app, [*base, *wrong]).exception, UserError)


def test_sheets_hold_every_frame_once() -> None:
    frames = np.arange(70, dtype=np.uint8)[:, None, None, None].repeat(1024, 1).repeat(1024, 2).repeat(3, 3)
    columns, capacity = sheets.layout(70, 512)
    found = list(sheets.sheets(frames, 512))
    assert (columns, capacity, len(found)) == (8, 64, 2)
    for t in range(70):
        row, column = divmod(t % capacity, columns)
        assert (
            found[t // capacity][row * 512 : row * 512 + 512, column * 512 : column * 512 + 512] == t
        ).all()


def test_error_maps_are_black_where_nothing_is_wrong() -> None:
    truth = np.zeros((1, 64, 64, 3), np.uint8)
    wrong = truth.copy()
    wrong[:, :, 32:] = 64
    (map_,) = sheets.error_maps(wrong, truth, 32)
    assert map_[:, :15].max() <= 4
    assert (map_[:, 17:].min(axis=(0, 1)) > (250, 250, 180)).all()
