"""Receipts: an accepted row says what its numbers come from, and `verify` says precisely what does not agree."""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_bench import opened, register
from tampering import TAMPERED, better, edit, forged, rewrite, swapped
from typer.testing import CliRunner, Result

from emojibench.cli import app
from emojibench.errors import UserError
from emojibench.reports import accept, build_pages
from emojibench.reports.diffing import diff
from emojibench.reports.load import load_run
from emojibench.reports.receipts import ledger
from emojibench.reports.receipts.receipt import FILES, NONE, RECEIPT, read
from emojibench.reports.receipts.submitting import submit
from emojibench.reports.receipts.verifying import verify, verify_all
from emojibench.reports.rows import copy_rows


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of two real runs, `a` and `b`, which differ in their seeds."""
    folder = tmp_path_factory.mktemp("receipts")
    with pytest.MonkeyPatch.context() as patch:
        register(folder, patch)
        bench = opened(folder, patch)
        for name, seed in (("a", 0), ("b", 1)):
            bench.run(name=name, seed=seed)
        yield bench.out


@pytest.fixture(scope="module")
def board(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    board = tmp_path_factory.mktemp("board")
    accept(runs / "a", board)
    return board


@pytest.fixture
def row(board: Path, tmp_path: Path) -> Path:
    """A row in a leaderboard of its own, free to be changed."""
    shutil.copytree(board, tmp_path / "board")
    (found,) = (tmp_path / "board" / "accepted").glob("*/fake-self")
    return found


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_row_has_its_receipt_and_agrees(row: Path, runs: Path) -> None:
    said = read(row)
    assert said is not None
    frames = json.loads((runs / "a/animations/c/animation.json").read_text())["digest"]
    assert said.clips["c"].frames == frames
    assert said.sets["fake_set"].clips == 4
    assert set(said.code) == {"animate", "score"}
    assert len(said.code["score"].sources or "") == 64
    assert {"av", "libavcodec", "opencv", "files"} <= set(said.decoder)
    assert said.weights == {"noise.bin": "ab" * 32}
    assert [entry.row for entry in ledger.read(row.parent.parent)] == [f"{row.parent.name}/fake-self"]
    found = call("verify", row)
    assert (found.exit_code, found.stdout.count("- differs")) == (0, 0)
    assert (
        "not checked: the dataset is the one that is here (fake is not built in; --dataset DIR"
        in found.stdout
    )
    assert call("verify", row.parent.parent, "--json").exit_code == 0


@pytest.mark.parametrize("kind", TAMPERED)
def test_what_was_tampered_with_is_named(row: Path, kind: str) -> None:
    tamper, messages = TAMPERED[kind]
    tamper(row)
    (found,) = row.parent.iterdir()
    result = call("verify", found, "--json")
    assert result.exit_code == 1
    (said,) = json.loads(result.stdout)
    lines = [
        f"{f['file']}, {f['what']}: expected {f['expected']}, found {f['found']}"
        for check in said["checks"]
        for f in check["findings"]
    ]
    for message in messages:
        assert any(message in line for line in lines), (message, lines)


def test_a_swapped_run_is_told_by_what_its_values_were_computed_from(row: Path, runs: Path) -> None:
    swapped(row, runs)
    lines = list(map(str, verify(row).findings))
    assert any(line.startswith("rows.parquet, clip a, fake_l1, inputs: expected") for line in lines)


def test_a_careful_forgery_is_told_by_scoring_clips_again(row: Path, runs: Path) -> None:
    forged(row)
    alone = row.rename(row.parents[2] / "alone")  # beside no ledger
    assert verify(alone).exit_code == 0
    for source in ({"run": runs / "a"}, {}):  # from the animations, or made again
        again = verify(alone, dataset="fake", deep=["a", "b"], **source)
        assert [f.what for f in again.findings] == ["clip b, fake_l1"], source
    other = verify(alone, dataset="fake", deep=["a"], run=runs / "b")
    assert [f.what for f in other.findings] == ["sha256 of the frames"]


def test_a_clip_on_which_the_method_failed_is_told_everywhere(bench: Any, tmp_path: Path) -> None:
    bench.run(options={"c": "raise"})
    row = accept(bench.out / "r", tmp_path / "board")
    said = read(row)
    assert said is not None
    assert [clip for clip, about in said.clips.items() if about.frames is None] == ["c"]
    assert not verify(row).findings
    with pytest.raises(UserError, match="--clips: the method failed on c"):
        verify(row, dataset="fake", deep=["c"])
    again = verify(row, dataset="fake", deep=4, run=bench.out / "r")
    assert not again.findings
    assert any(check.what.endswith("a, b, d") for check in again.checks)
    (page, *_), _ = build_pages(tmp_path / "board" / "accepted", tmp_path / "board", accepted=True)
    assert "fake (partial, self: 1 of 4 clips failed)" in page.text
    pack = submit(bench.out / "r", tmp_path / "pack")
    assert read(accept(pack / "accepted" / row.relative_to(row.parents[1]), tmp_path / "other")) == said
    edit(row / RECEIPT, lambda r: r["clips"]["b"].update(frames=None, video=None, seed=None))
    hidden = [str(finding) for finding in verify(row).findings]
    assert f"{RECEIPT}, clip b, frames: expected a digest, found none, since the method failed" in hidden


def test_a_value_of_the_set_is_of_clips_that_some_column_of_its_metric_takes(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SHORT", "b")
    found = bench.run(metrics=["fake_pair"]).summary.metrics
    assert (found["fake_short"].n_clips, found["fake_pair"].status) == (4, "ok")
    assert "needs" not in found["fake_short"].reason
    row = accept(bench.out / "r", tmp_path / "board")
    assert not verify(row).findings


def test_deep_says_why_nothing_could_be_scored(row: Path, runs: Path, tmp_path: Path) -> None:
    found = verify(row, deep=1)
    assert (found.exit_code, "dataset fake is not built in" in found.verdict) == (3, True)
    edit(row / "spec.json", lambda spec: spec.update(method="gone"))
    assert "gone" in verify(row, dataset="fake", deep=1).gaps[0]
    with pytest.raises(UserError, match="expected the clip's frames, found none"):
        verify(row, dataset="fake", deep=1, run=tmp_path)
    with pytest.raises(UserError, match="--clips"):
        verify(row, dataset="fake", deep=["nobody"])


def test_rows_without_a_receipt_load_and_say_so(row: Path) -> None:
    (row / RECEIPT).unlink()
    edit(row / "provenance.json", lambda p: (p.pop("decoder"), [s.pop("decoder") for s in p["earlier"]]))
    (row.parent.parent / ledger.LEDGER).unlink()
    found = verify(row)
    assert (found.exit_code, found.findings, NONE in found.verdict) == (3, (), True)
    assert load_run(row).receipt is None
    (page, _), _ = build_pages(Path("runs"), row.parents[2], accepted=True)
    assert NONE in page.text


def test_no_row_is_an_error(tmp_path: Path) -> None:
    for command in (
        ("verify", tmp_path),
        ("verify", tmp_path / "gone"),
        ("verify", tmp_path, "--run", tmp_path),
    ):
        assert isinstance(call(*command).exception, UserError)


def test_a_row_changes_only_by_a_new_revision_with_its_reason(row: Path, runs: Path) -> None:
    board, accepted = row.parents[2], row.parent.parent
    with pytest.raises(
        UserError, match="already accepted; a new revision takes its place with `--replace REASON`"
    ):
        accept(runs / "b", board)
    shutil.rmtree(row)
    with pytest.raises(UserError, match="already accepted"):  # nor by removing it first
        accept(runs / "b", board)
    assert accept(runs / "a", board) == row  # what is missing is put back
    accept(runs / "b", board, replace="a new seed")
    said = read(row)
    assert said is not None
    assert said.revision == 2
    assert [(e.revision, e.reason) for e in ledger.read(accepted)] == [(1, ""), (2, "a new seed")]
    assert all(found.exit_code == 0 for found in verify_all(accepted))


def test_rows_of_before_the_ledger_get_their_entries(row: Path, runs: Path) -> None:
    board, accepted = row.parents[2], row.parent.parent
    (accepted / ledger.LEDGER).unlink()
    with pytest.raises(UserError, match="already accepted"):
        accept(runs / "b", board)
    assert [entry.revision for entry in ledger.read(accepted)] == [1]


def test_a_changed_line_of_the_ledger_is_found_in_the_history(row: Path) -> None:
    accepted = row.parent.parent
    file = accepted / ledger.LEDGER

    def git(*words: str) -> None:
        about = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        subprocess.run(
            ["git", "-C", str(row.parents[2]), *about, *words],
            check=True,
            capture_output=True,
            env=environment,
        )

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    assert verify_all(accepted)[-1].exit_code == 0
    rewrite(row, better)
    file.write_text(f'{{"row":"{row.parent.name}/fake-self","revision":1,"digest":"{"0" * 64}"}}\n')
    for commit in (False, True):  # in the working copy, then hidden in a commit
        if commit:
            git("commit", "-qam", "silently")
        (finding,) = verify_all(accepted)[-1].findings
        assert finding.file == ledger.LEDGER
        assert "no such line" in finding.found


def test_entries_have_numbers_and_reasons(row: Path) -> None:
    accepted, name = row.parent.parent, f"{row.parent.name}/fake-self"
    ledger.append(accepted, ledger.Entry(row=name, revision=4, digest="0" * 64))
    ledger.append(accepted, ledger.Entry(row="gone/fake-self", digest="0" * 64))
    lines = "\n".join(map(str, verify_all(accepted)[-1].findings))
    for part in ("revision: expected 2, found 4", "expected a reason", "gone/fake-self: expected its folder"):
        assert part in lines
    (accepted / ledger.LEDGER).write_text("hello\n")
    found = verify_all(accepted)[-1]
    assert "ledger.jsonl, line 1: not usable JSON" in str(found.findings[0])


def test_the_same_frames_under_two_names_are_found(row: Path, runs: Path) -> None:
    copy = shutil.copytree(row, row.with_name("copied-self"))
    for name in ("spec.json", "summary.json"):
        edit(copy / name, lambda content: content.update(method="copied"))
    edit(copy / RECEIPT, lambda content: content.update(method="copied", row="copied-self"))
    (finding,) = verify_all(row.parent.parent)[-1].findings
    assert "/fake-self/receipt.json, frames: expected others than those of" in str(finding)


@pytest.mark.parametrize("name", ["pack", "pack.zip", "pack.tar.gz"])
def test_a_submission_holds_what_a_reviewer_needs(runs: Path, tmp_path: Path, name: str) -> None:
    result = call("submit", runs / "a", "--out", tmp_path / name)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / name}\n")
    if name != "pack":
        shutil.unpack_archive(tmp_path / name, tmp_path)
    (row,) = (tmp_path / "pack" / "accepted").glob("*/fake-self")
    assert sorted(file.name for file in row.iterdir()) == sorted((*FILES, RECEIPT))
    assert "emojibench verify accepted/" in (tmp_path / "pack" / "README.md").read_text()
    assert verify(row).exit_code == 0
    put = accept(row, tmp_path / "board")
    assert verify(put).exit_code == 0
    forged(row, receipt=False)
    with pytest.raises(
        UserError, match=r"does not agree with its receipt, in 1 places, first rows\.parquet, values"
    ):
        accept(row, tmp_path / "other")


def test_submissions_are_the_same_bytes_and_never_replace(runs: Path, tmp_path: Path) -> None:
    first, second = (submit(runs / "a", tmp_path / n / "a.zip") for n in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert all(info.date_time[0] == 1980 for info in zipfile.ZipFile(first).infolist())
    with pytest.raises(UserError, match="expected a path where nothing is yet"):
        submit(runs / "a", first)
    assert [entry.name for entry in first.parent.iterdir()] == ["a.zip"]


def test_frames_are_checked_before_a_row_tells_of_them(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "a", tmp_path / "a")
    shutil.copy(run / "animations/b/frames.mkv", run / "animations/a/frames.mkv")
    with pytest.raises(UserError, match=r"animations/a/frames\.mkv: expected frames with sha256"):
        submit(run, tmp_path / "pack")
    shutil.rmtree(run / "animations/a")
    with pytest.raises(UserError, match=r"expected the record of the clip's animation"):
        submit(run, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def test_a_run_that_is_being_written_becomes_no_row(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(runs / "a", tmp_path / "a")

    def copy_while_written(*arguments: Any) -> None:
        copy_rows(*arguments)
        (run / "summary.json").unlink()

    monkeypatch.setattr("emojibench.reports.accepting.copy_rows", copy_while_written)
    with pytest.raises(UserError, match="a: is being written; try again when its command has ended"):
        accept(run, tmp_path / "board")
    assert not [file for file in (tmp_path / "board").rglob("*") if file.is_file()]
    with pytest.raises(UserError, match=r"is not finished: it has no summary\.json"):
        submit(run, tmp_path / "pack")


def test_rows_of_other_options_lie_side_by_side_and_name_no_folder_of_this_machine(
    bench: Any, tmp_path: Path
) -> None:
    runs = {
        "fake-self": {},
        "fake-self-revision.2": {"revision": "2"},
        "fake-self-log.log.txt-revision.x": {
            "log": str(tmp_path / "log.txt"),
            "revision": "/home/somebody/x",
        },
    }
    for name, options in runs.items():
        bench.run(name=name, options=options, metrics=("fake_l1",))
        row = accept(bench.out / name, tmp_path / "board")
        assert row.name == name
        assert not verify(row).findings
        assert not any("somebody" in file.read_bytes().decode(errors="replace") for file in row.iterdir())
    assert all(found.exit_code == 0 for found in verify_all(tmp_path / "board" / "accepted"))


def test_weights_of_a_method_have_digests(bench: Any) -> None:
    with pytest.raises(
        UserError, match="weight_files: expected names with 12 to 64 hex digits of a sha256, got"
    ):
        bench.run(options={"weights": "latest"})


def test_diff_tells_what_differs(runs: Path, row: Path) -> None:
    found = diff(runs / "a", runs / "b")
    assert [(fact.field, fact.first, fact.second) for fact in found.spec] == [("seed", 0, 1)]
    assert found.frames == ("a", "b", "c", "d")
    assert "fake_l1" in [number.column for number in found.numbers]
    result = call("diff", runs / "a", runs / "b", "--json")
    assert (result.exit_code, json.loads(result.stdout)["differs"]) == (1, True)
    edit(row / "provenance.json", lambda p: p["packages"].update(numpy="0.1"))
    result = call("diff", runs / "a", row)
    assert result.exit_code == 1
    assert "`score: packages.numpy`" in result.stdout
    assert "show the same frames" in result.stdout
    assert call("diff", runs / "a", runs / "a").exit_code == 0
