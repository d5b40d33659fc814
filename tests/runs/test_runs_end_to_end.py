"""A whole run on a tiny benchmark: what lies in the folder, and what a second start does."""

import json
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest

from emojibench import media
from emojibench.errors import UserError
from emojibench.runs.folder import RunFolder
from emojibench.runs.spec import clip_seed
from emojibench.runs.summarise import summarise


def values(folder: RunFolder) -> dict[tuple[str, str], float | None]:
    """(clip, metric) to value, without the costs, which are never the same twice."""
    rows = folder.rows().values()
    return {
        (row.clip_id, row.metric): row.value
        for row in rows
        if not row.metric.startswith(("latency", "peak_memory"))
    }


def calls(log: Path) -> list[str]:
    return [line.split()[0] for line in log.read_text().splitlines()]


def test_a_run_leaves_everything_that_the_layout_promises(bench: Any) -> None:
    result = bench.run("fake", jobs=2, metrics=("fake_l1", "fake_face", "fake_set", "fake_missing"))
    assert result.exit_code == 0
    assert result.failed == {}
    assert set(result.unavailable) == {"fake_missing", "fake_missing_too"}
    folder = result.folder
    files = {p.name for p in folder.iterdir()}
    assert {
        "spec.json",
        "provenance.json",
        "rows.jsonl",
        "rows.parquet",
        "summary.json",
        "animations",
        "features",
    } <= files
    assert not (folder / ".scratch").exists()
    frames = media.read_video(folder / "animations" / "a" / "frames.mkv")
    seed = clip_seed(0, "a")
    noise = np.random.default_rng(seed).integers(0, 8, frames.shape, np.uint8)
    portrait = fakes.FakeDataset(32, "").clip("a").portrait
    np.testing.assert_array_equal(frames, (portrait[None] >> 1) + noise)  # lossless, no watermark
    record = RunFolder(folder).animation("a")
    assert record is not None
    assert record.seed == seed
    summary = json.loads((folder / "summary.json").read_text())
    l1 = summary["metrics"]["fake_l1"]
    rows = result.rows()
    of_l1 = rows[rows.metric == "fake_l1"]
    assert l1["mean"] == pytest.approx(of_l1.value.mean())
    assert l1["low"] <= l1["mean"] <= l1["high"]
    assert (l1["n_clips"], l1["expected"], l1["coverage"]) == (4, 4, 1.0)
    assert set(of_l1.subject) == {"s0", "s1"}
    assert of_l1.n.tolist() == [4] * 4  # frame 0 of `self` is not scored
    assert summary["metrics"]["fake_long"]["status"] == "undefined"
    fake_set = summary["metrics"]["fake_set"]
    assert (fake_set["kind"], fake_set["n_clips"], fake_set["low"]) == ("set", 4, None)
    assert fake_set["mean"] > 0
    assert "fake_set" not in set(rows.metric)  # the value of a set belongs to no clip
    missing = rows[rows.metric == "fake_missing"]
    assert set(missing.status) == {"unavailable"}
    assert set(missing.reason) == {"weights.bin is not here and cannot be fetched"}
    assert len(missing) == 4
    long = summary["metrics"]["fake_missing_long"]  # weights would not help
    assert (long["status"], long["reason"]) == ("undefined", "4 frames, at least 100 are needed")
    latency = rows[rows.metric == "latency_s"]
    assert 1 <= (latency.note == "warm-up").sum() <= 2  # one a worker
    assert summary["metrics"]["latency_draw_s"]["median"] == pytest.approx(0.001)
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["stage"] == "score"
    assert provenance["earlier"][0]["stage"] == "animate"
    assert provenance["protocol"] == summary["protocol"]
    metrics = ("fake_l1", "fake_face", "fake_set", "fake_missing")
    before = (folder / "rows.jsonl").read_bytes()
    assert bench.run("fake", metrics=metrics, strict=True).exit_code == 3
    assert (folder / "rows.jsonl").read_bytes() == before


def test_the_number_of_jobs_and_the_order_change_no_value(bench: Any) -> None:
    one = values(RunFolder(bench.run("fake", jobs=1, name="one").folder))
    two = values(RunFolder(bench.run("fake", jobs=2, name="two").folder))
    part = values(RunFolder(bench.run("fake", clips=["c"], name="part").folder))
    assert one == two
    assert part["c", "fake_l1"] == one["c", "fake_l1"]


def test_costs_of_different_devices_say_so(bench: Any) -> None:
    folder = bench.run("fake", clips=3, metrics=["fake_l1"]).folder
    file = folder / "animations" / "b" / "animation.json"
    made = json.loads(file.read_text())
    assert (made["device"].partition(":")[0], made["node"]) == ("cpu", "")
    file.write_text(json.dumps(made | {"device": "cuda: big", "node": "two"}))
    columns = bench.rescore(metrics=["fake_l1"]).summary.metrics
    note = f"made on different devices: 2 clips on {made['device']}, 1 clips on cuda: big"
    assert (columns["latency_s"].note, columns["peak_memory"].note, columns["fake_l1"].note) == (
        note,
        note,
        "",
    )


def test_a_second_start_redoes_nothing(bench: Any, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    first = bench.run("fake", options={"log": str(log)})
    before = (first.folder / "rows.jsonl").read_bytes()
    again = bench.run("fake", options={"log": str(log)})
    assert calls(log) == ["a", "b", "c", "d"]
    assert (first.folder / "rows.jsonl").read_bytes() == before
    assert again.summary == first.summary
    more = bench.run("fake", options={"log": str(log)}, metrics=["fake_l1", "fake_raising"])
    assert calls(log) == ["a", "b", "c", "d"]  # other metrics, same animations
    assert more.exit_code == 3
    assert set(more.failed.values()) == {"ZeroDivisionError: oh dear"}
    assert "oh dear" in (more.folder / "logs" / "score-a.txt").read_text()


def test_more_clips_continue_a_run_and_fewer_do_not(bench: Any, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    bench.run("fake", options={"log": str(log)}, clips=["b", "d"])
    result = bench.run("fake", options={"log": str(log)})
    assert calls(log) == ["b", "d", "a", "c"]  # nothing finished is thrown away
    whole = bench.run("fake", name="whole")
    assert values(RunFolder(result.folder)) == values(RunFolder(whole.folder))
    for column in ("fake_l1", "fake_face", "fake_set"):
        assert result.summary.metrics[column] == whole.summary.metrics[column]
    with pytest.raises(UserError, match="clips: 4 clips"):
        bench.run("fake", options={"log": str(log)}, clips=["b", "d"])


def test_another_run_of_the_same_name_is_refused_and_replaced_only_on_request(bench: Any) -> None:
    bench.run("fake", clips=1)
    with pytest.raises(UserError, match=r"(?s)differs in.*seed: 0, 5.*another --name or --out.*--overwrite"):
        bench.run("fake", clips=1, seed=5)
    with pytest.raises(UserError, match="revision: '1', '2'"):
        bench.run("fake", clips=1, options={"revision": "2"})
    before = values(RunFolder(bench.out / "r"))
    result = bench.run("fake", clips=1, seed=5, overwrite=True)
    record = RunFolder(result.folder).animation("a")
    assert record is not None
    assert record.seed == clip_seed(5, "a")
    assert values(RunFolder(result.folder))["a", "fake_l1"] != before["a", "fake_l1"]


def test_flops_are_counted_once_and_hold_for_every_clip_of_the_shape(bench: Any) -> None:
    result = bench.run("fake-torch", clips=2, metrics=["fake_l1"])
    rows = result.rows()
    flops = rows[rows.metric == "flops"]
    assert flops.value.tolist() == [2 * 8**3 / 1e12] * 2
    assert flops.note.tolist() == ["", "as counted on the first clip of this shape"]
    latency = rows[rows.metric == "latency_s"]
    assert latency.note.tolist() == ["warm-up", ""]
    assert result.summary.metrics["latency_s"].n_clips == 1
    assert result.summary.metrics["latency_s"].coverage == 1.0


def test_flops_of_a_method_that_does_not_say_so_are_counted_on_every_clip(bench: Any) -> None:
    rows = bench.run("fake-adaptive", clips=3, metrics=["fake_l1"]).rows()
    flops = rows[rows.metric == "flops"]
    assert flops.value.tolist() == [times * 2 * 8**3 / 1e12 for times in (1, 2, 3)]
    assert set(flops.note) == {""}
    latency = rows[rows.metric == "latency_s"]
    assert latency.note.tolist() == ["warm-up", *["operations were counted meanwhile"] * 2]


def test_size_and_length_are_the_datasets_unless_asked_for_and_make_another_track(bench: Any) -> None:
    whole = bench.run("fake", metrics=["fake_l1"]).summary
    assert (whole.size, whole.frames) == (32, 5)
    part = bench.run("fake", metrics=["fake_l1"], name="part", size=48, frames=3)
    assert (part.summary.size, part.summary.frames) == (48, 3)
    assert part.summary.protocol != whole.protocol
    record = RunFolder(part.folder).animation("a")
    assert record is not None
    assert (record.size, record.frames) == ((48, 48), 3)
    assert RunFolder(part.folder).spec().protocol.shape == "up to 3 frames at 48x48"
    with pytest.raises(UserError, match=r"(?s)differs in.*size: 32, 48"):
        bench.run("fake", metrics=["fake_l1"], size=48)
    with pytest.raises(
        UserError, match="--frames: expected 2 to 5, the length of the longest clip of fake, got 6"
    ):
        bench.run("fake", frames=6)
    assert bench.rescore("part", metrics=["fake_l1"]).summary == part.summary


def test_a_method_of_another_size_is_resized_as_finished_videos_are(bench: Any) -> None:
    result = bench.run("fake-small", clips=1, metrics=["fake_l1"])
    assert result.exit_code == 0
    small = media.resize(fakes.FakeDataset(32, "").clip("a").portrait, 16)
    frames = media.read_video(result.folder / "animations" / "a" / "frames.mkv")
    np.testing.assert_array_equal(frames[0], media.resize(small, 32))
    rows = result.rows()
    assert rows[rows.metric == "fake_l1"].note.tolist() == ["resized from 16x16 (bicubic)"]


def test_the_share_of_lost_frames_is_recorded(bench: Any) -> None:
    result = bench.run("fake", metrics=["fake_survivors", "fake_l1", "fake_set"])
    columns = result.summary.metrics
    assert columns["fake_survivors"].mean == 1.0
    assert columns["fake_survivors"].lost == pytest.approx(1 - 3 / 16)  # an empty clip counts
    assert columns["fake_l1"].lost == columns["fake_set"].lost == columns["latency_s"].lost == 0
    rows = result.rows()
    survivors = rows[rows.metric == "fake_survivors"]
    assert survivors.n.tolist() == [1, 1, 1, 0]
    assert survivors.total.tolist() == [4, 4, 4, 4]
    log = result.folder / "rows.jsonl"
    log.write_text(log.read_text().replace('"total":4,', ""))  # as older versions wrote it
    assert summarise(RunFolder(result.folder)).metrics["fake_l1"].lost is None


def test_what_can_be_checked_is_checked_before_any_work(bench: Any) -> None:
    with pytest.raises(UserError, match=r"unknown method 'fak'\. Did you mean 'fake'"):
        bench.run("fak")
    with pytest.raises(UserError, match=r"unknown metric 'fake_ll'\. Did you mean"):
        bench.run("fake", metrics=["fake_ll"])
    with pytest.raises(UserError, match="unknown split 'slef'"):
        bench.run("fake", split="slef")
    with pytest.raises(UserError, match="--clips: expected a number from 1 to 4"):
        bench.run("fake", clips=9)
    with pytest.raises(UserError, match="--clips: unknown clip 'z'"):
        bench.run("fake", clips=["z"])
    with pytest.raises(UserError, match="--jobs"):
        bench.run("fake", jobs=0)
    with pytest.raises(UserError, match="--name: expected letters"):
        bench.run("fake", name="../elsewhere")
    assert not bench.out.exists()
    with pytest.raises(UserError, match="unknown option of fake"):
        bench.run("fake", options={"nonsense": "1"})
    assert not (bench.out / "r").exists()  # nothing came of it


def test_a_value_that_cannot_be_one_is_a_failed_row_and_measured_again(bench: Any) -> None:
    before = bench.run("fake", clips=2, metrics=["fake_l1"])
    (row,) = (row for key, row in RunFolder(before.folder).rows().items() if key == ("a", "fake_l1"))
    with (before.folder / "rows.jsonl").open("a") as file:
        file.write(row.model_copy(update={"value": -5.0}).model_dump_json() + "\n")
    with RunFolder(before.folder) as folder:
        column = summarise(folder).metrics["fake_l1"]
    assert column.n_clips == 1
    assert "outside the range" in column.reason
    after = bench.run("fake", clips=2, metrics=["fake_l1"])
    assert after.summary.metrics["fake_l1"] == before.summary.metrics["fake_l1"]
