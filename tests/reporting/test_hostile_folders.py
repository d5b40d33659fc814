"""Run folders that somebody else wrote: one error names the file, and nothing leaves the folder."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from emojibench.errors import UserError
from emojibench.reports import accept, build_pages, report
from emojibench.reports.load import load_run

GOOD = {"c0": 0.010, "c1": 0.012, "c2": 0.011, "c3": 0.015}


def edit(file: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("field", ["dataset", "method", "split", "name", "dataset_digest", "clips"])
@pytest.mark.parametrize("value", ["../../outside", "/tmp/outside", "a/b", "", ".", "..", "a\nb"])
def test_no_spec_leads_out_of_a_folder(tmp_path: Path, make_run, field: str, value: str) -> None:
    run = make_run("r", {"l1": GOOD})
    edit(run / "spec.json", lambda spec: spec.update({field: [value] if field == "clips" else value}))
    for write in (
        lambda: report(tmp_path / "runs", tmp_path / "boards"),
        lambda: accept(run, tmp_path / "boards"),
    ):
        with pytest.raises(UserError, match=rf"r/spec\.json: {field}"):
            write()
    assert not (tmp_path / "boards").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("decimals", 2_000_000_000, "decimals"),
        ("decimals", -1, "decimals"),
        ("mean", "0.5", "mean"),
        ("mean", True, "mean"),
        ("mean", math.nan, "not finite"),
        ("low", math.inf, "not finite"),
        ("n_clips", 2.5, "n_clips"),
        ("status", "fine", "status"),
        ("better", ["higher"], "better"),
        ("lost", 7.0, "lost"),
        ("reason", None, "reason"),
    ],
)
def test_wrong_values_in_a_summary_name_the_file(tmp_path: Path, make_run, key, value, message: str) -> None:
    file = make_run("r", {"l1": GOOD}) / "summary.json"
    edit(file, lambda summary: summary["metrics"]["l1"].update({key: value}))
    with pytest.raises(UserError, match=rf"r/summary\.json: .*{message}"):
        report(tmp_path / "runs", tmp_path / "boards")


@pytest.mark.parametrize("name", ["spec.json", "summary.json", "provenance.json"])
@pytest.mark.parametrize(
    "content", [b"[]", b"\xff\xfe", b"", b"[" * 100_000, b'{"metrics": 1}', b'{"a": NaN}']
)
def test_damaged_files_name_the_file(tmp_path: Path, make_run, name: str, content: bytes) -> None:
    file = make_run("r", {"l1": GOOD}) / name
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"r/{name}"):
        report(tmp_path / "runs", tmp_path / "boards")


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.update(code=None),
        lambda p: p.update(device=7),
        lambda p: p.update(earlier="yesterday"),
        lambda p: p.update(earlier=[{"stage": "animate"}]),
        lambda p: p["platform"].update(jobs="two"),
    ],
)
def test_wrong_provenance_names_the_file(tmp_path: Path, make_run, change) -> None:
    edit(make_run("r", {"l1": GOOD}) / "provenance.json", change)
    with pytest.raises(UserError, match=r"r/provenance\.json"):
        report(tmp_path / "runs", tmp_path / "boards")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("value", [math.nan, 1.0, 1.0, 1.0], r"row 1 \(clip c0, l1\): expected a finite number, got nan"),
        ("value", [1.0, 1e308, 1.0, 1.0], "row 2"),
        ("value", ["a", "b", "c", "d"], "damaged"),
        ("subject", [None, "a", "b", "c"], "column subject"),
        ("metric", [["l1"]] * 4, "damaged"),
        ("status", None, "damaged"),
    ],
)
def test_wrong_rows_name_the_file(make_run, column: str, values: list[Any] | None, message: str) -> None:
    run = make_run("r", {"l1": GOOD})
    table = parquet.read_table(run / "rows.parquet").drop_columns([column])
    if values is not None:
        table = table.append_column(column, pyarrow.array(values))
    parquet.write_table(table, run / "rows.parquet")
    with pytest.raises(UserError, match=message) as refused:
        load_run(run)
    assert "rows.parquet" in str(refused.value)


def test_a_mean_of_no_rows_is_refused(make_run) -> None:
    run = make_run("r", {"l1": GOOD})
    table = parquet.read_table(run / "rows.parquet").drop_columns(["metric"])
    parquet.write_table(table.append_column("metric", pyarrow.array(["l2"] * 4)), run / "rows.parquet")
    with pytest.raises(UserError, match=r"rows\.parquet: has no values of l1, but summary\.json a mean"):
        load_run(run)


def test_values_out_of_range_are_refused(make_run) -> None:
    with pytest.raises(UserError, match=r"summary\.json: l1: -1\.24.* is outside the range \[0, 1\]"):
        load_run(make_run("mean", {"l1": GOOD | {"c0": -5.0}}))
    run = make_run("row", {"l1": GOOD})
    table = parquet.read_table(run / "rows.parquet")
    values = pyarrow.array([-5.0, *table["value"].to_pylist()[1:]])
    table = table.set_column(table.schema.get_field_index("value"), "value", values)
    parquet.write_table(table, run / "rows.parquet")
    with pytest.raises(UserError, match=r"rows\.parquet: l1 of clip c0: -5 is outside the range"):
        load_run(run)


def test_a_small_file_of_many_rows_is_refused(make_run) -> None:
    run = make_run("r", {"l1": GOOD})
    (row,) = parquet.read_table(run / "rows.parquet").slice(0, 1).to_pylist()
    columns = {name: pyarrow.repeat(value, 2_500_000) for name, value in row.items() if value is not None}
    parquet.write_table(pyarrow.table(columns), run / "rows.parquet", compression="zstd")
    assert (run / "rows.parquet").stat().st_size < 1 << 20
    with pytest.raises(UserError, match=r"rows\.parquet: expected at most 2,000,000 rows"):
        load_run(run)


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_no_half_of_an_accepted_run(tmp_path: Path, make_run, monkeypatch) -> None:
    run, boards = make_run("r", {"l1": GOOD}), tmp_path / "boards"
    with monkeypatch.context() as broken:
        broken.setattr("emojibench.reports.accepting.copy_rows", full_disk)
        with pytest.raises(UserError, match=r"cannot write .*copy-reference-self: No space left"):
            accept(run, boards)
    assert not [file for file in boards.rglob("*") if file.is_file()]
    target = accept(run, boards)  # the retry is not blocked
    assert load_run(target).summaries == load_run(run).summaries


def test_what_a_killed_acceptance_left_is_no_run(tmp_path: Path, make_run) -> None:
    run, boards = make_run("r", {"l1": GOOD}), tmp_path / "boards"
    target = accept(run, boards)
    left = target.rename(target.with_name(f".{target.name}.tmp"))
    (left / "summary.json").unlink()
    assert accept(run, boards) == target
    assert not left.exists()
    left.mkdir()
    (left / "spec.json").write_text("half a sp")
    pages, unfinished = build_pages(Path("runs"), boards, accepted=True)
    assert (len(pages), unfinished) == (2, [])


def test_a_full_disk_tears_no_page(tmp_path: Path, make_run, monkeypatch) -> None:
    make_run("r", {"l1": GOOD})
    (page,) = report(tmp_path / "runs", tmp_path / "boards")
    before = page.read_text()
    make_run("s", {"l1": GOOD}, method="other")
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(UserError, match=r"cannot write .*\.md: No space left"):
        report(tmp_path / "runs", tmp_path / "boards")
    assert page.read_text() == before
    assert [file.name for file in page.parent.iterdir()] == [page.name]
