"""`emojibench ablate` as a user starts it, with budgets of one step."""

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import emojibench_metrics.flops  # noqa: F401  before the fakes can stand in for it
import numpy as np
import pytest
import torch
from emojibench_baselines.fye.methods import FASTER
from fye_faster.models.checkpoint import packaged
from fye_faster.presets import MINI
from fye_faster.train import recipe
from fye_faster.train.batches import Batches, ClipBatch
from fye_faster.train.data import TrainingSet
from safetensors.torch import load_file

from emojibench.errors import UserError
from emojibench.fye import training_data as training
from emojibench.fye.ablation import matrix, running
from emojibench.fye.ablation.running import Training
from emojibench.fye.matrix import Measuring

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from fake_bench import bench, registered

__all__ = ["bench", "registered"]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise to train on, in small batches."""

    def synthetic(_folder: Path, count: int, size: int, *, fresh: bool) -> TrainingSet:
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 256, (count, 3, size, size, 3), np.uint8)
        landmarks = rng.uniform(0.3, 0.7, (count, 3, 478, 3)).astype(np.float32)
        return TrainingSet(frames, landmarks, 1, ((0, 1, 2),), ((0, 2),))

    monkeypatch.setattr(training, "synthetic", synthetic)
    small = partial(recipe.Recipe, portraits=2, targets=1, clips=1)
    monkeypatch.setattr(recipe, "Recipe", small)


class KilledError(BaseException):
    pass


@pytest.mark.usefixtures("made_up")
@pytest.mark.slow
def test_a_killed_ablation_continues_and_ends_with_a_table(
    bench: Any,
    emojibench: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Rows are trained for real; they are measured with a method that costs nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "revision", lambda *_: "1")  # of the method that measures here
    measure = Measuring.run

    def free(how: Measuring, name: str, _method: str, *rest: Any, **others: Any) -> Any:
        return measure(how, name, "fake", *rest, **others)

    monkeypatch.setattr(Measuring, "run", free)
    command = [
        "ablate",
        "--steps",
        "1,1,1",
        "--identities",
        "2",
        "--rows",
        "without-pupils,without-alignment",
    ]
    command += ["--clips", "4", "--frames", "3", "--metrics", "fake_l1", "--table", "pages/table4.md"]
    whole = Batches.clips
    calls = 0

    def dies_in_the_second_row(self: Batches, step: int) -> ClipBatch:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KilledError
        return whole(self, step)

    with monkeypatch.context() as killing:
        killing.setattr(Batches, "clips", dies_in_the_second_row)
        assert emojibench(*command) == 70
    page = Path("pages/table4.md").read_text()
    assert "| Full method " in page  # what is finished is readable at any time
    full = Path("ablation/rows/full/mini.safetensors")
    trained = full.stat().st_mtime_ns
    assert not Path("ablation/rows/without-pupils/mini.safetensors").exists()
    capfd.readouterr()

    assert emojibench(*command) == 0
    printed = capfd.readouterr()
    assert printed.out == Path("pages/table4.md").read_text()
    assert full.stat().st_mtime_ns == trained
    log = [json.loads(r) for r in Path("ablation/rows/without-pupils/log.jsonl").read_text().splitlines()]
    assert [r["phase"] for r in log if "finished" in r] == [
        "frames",
        "clips",
        "rollouts",
    ]  # phase 1 was not trained again
    assert "Published: Table 4" in printed.out
    assert "1 + 1 + 1 steps" in printed.out
    assert (
        "Trained rows start from random weights, with the encoder and decoder of the main ones."
        in printed.out
    )
    assert "With the cache and its landmark mask" in printed.out

    figures = json.loads(Path("pages/table4.json").read_text())
    rows = {row["name"]: row for row in figures["rows"]}
    assert list(rows) == [row.name for row in matrix.read()]
    assert figures["protocol"]["frames"] == 3
    assert rows["face-mask"]["missing"] == "not run yet"
    gap = rows["without-pupils"]["differences"]["fake_l1"]
    assert (gap["clips"], gap["mean"]) == (4, 0)  # the fake method makes the same of all weights

    revisions = set()
    for row in ("full", "without-pupils"):
        options = json.loads(Path(f"ablation/runs/{row}/spec.json").read_text())["options"]
        method = FASTER(options)
        assert method._pipeline.preset.landmark_groups[:2] == ("eyes", "brows")
        assert ("pupils" in method._pipeline.preset.landmark_groups) == (row == "full")
        revisions.add(method.revision)
    unaligned = json.loads(Path("ablation/runs/without-alignment/spec.json").read_text())["options"]
    assert unaligned == {"preset": "mini", "cache": "none", "weights": str(full), "alignment": "false"}
    assert len(revisions) == 2

    monkeypatch.setattr(running, "revision", lambda row, *_: "1" if row.name == "without-pupils" else "2")
    assert emojibench(*command[:-1], "pages/other.md", "--rows", "without-pupils") == 0
    other = {
        row["name"]: row.get("missing") for row in json.loads(Path("pages/other.json").read_text())["rows"]
    }
    assert other["full"] == "measured with other options or weights; run it again with --overwrite"
    assert not other["without-pupils"]

    changed = ["2,1,1" if argument == "1,1,1" else argument for argument in command]
    assert emojibench(*changed) == 2
    assert "trained with steps [0, 1, 1, 1], asked for [0, 2, 1, 1]" in capfd.readouterr().err


def test_a_page_is_redrawn_from_finished_rows_without_weights_or_videos(
    bench: Any,
    emojibench: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.yaml").write_text(
        "full: {title: Full, method: fake}\nbare: {title: Bare, method: fake, ffg: []}\n"
        "later: {title: Later, method: fake, ffg: [face]}\n"
    )
    command = ["ablate", "--matrix", "rows.yaml", "--clips", "2", "--frames", "3", "--redraw"]

    assert emojibench(*command) == 2
    assert (
        "--redraw: ablation holds no row that fits the settings (no row is finished)"
        in capfd.readouterr().err
    )

    bench.out = Path("ablation/runs")
    for row in ("full", "bare"):
        bench.run(name=row, clips=2, frames=3, dataset="synth", split="cross")
        shutil.rmtree(bench.out / row / "animations")
        spec = bench.out / row / "spec.json"
        given = {"preset": "mini", "weights": f"elsewhere/rows/{row}/mini.safetensors"}
        spec.write_text(json.dumps(json.loads(spec.read_text()) | {"options": given}))

    def reasons(*flags: str) -> dict[str, str]:
        assert emojibench(*command, *flags) == 0
        assert capfd.readouterr().out == Path("ablation/ablation.md").read_text()
        rows = json.loads(Path("ablation/ablation.json").read_text())["rows"]
        return {row["name"]: row["missing"] for row in rows if "missing" in row}

    assert reasons() == {"later": "not run yet"}
    assert emojibench(*command, "--set", "steps=4") == 2
    assert "(row full: measured with other options or weights; run it" in capfd.readouterr().err
    trained = Path("ablation/rows/bare/settings.json")
    trained.parent.mkdir(parents=True)
    trained.write_text('{"seed": 3}')
    assert reasons()["bare"] == "trained otherwise (seed 3, not 0); run it again with --fresh"


def test_rows_of_the_leaderboard_make_a_page(
    emojibench: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were trained with equal budgets and measured alike, and the page there is theirs."""
    monkeypatch.chdir(Path(__file__).parents[2])
    page, folder = tmp_path / "page.md", Path("leaderboards/ablation")
    assert (
        emojibench("ablate", "--config", str(folder / "config.yaml"), "--table", str(page), "--redraw") == 0
    )
    rows = json.loads(page.with_suffix(".json").read_text())["rows"]
    kept = {path.parent.name for path in folder.glob("runs/*/receipt.json")}
    assert {row["name"] for row in rows if "means" in row} == kept
    assert page.read_text() == Path("leaderboards/ablation.md").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "rows.yaml: not usable YAML"),
        ("[]", "rows.yaml: expected an object (key: value), got a list"),
        ("a: full", "row 'a': expected a mapping with at least a title, got str"),
        ("a: {title: A, landmark: [eyes]}", "row 'a': unknown key 'landmark'. Did you mean 'landmarks'?"),
        (
            "a: {title: A, landmarks: [eye]}",
            "landmarks.0: unknown group of landmarks 'eye'. Did you mean 'eyes'?",
        ),
        ("a: {title: A, ffg: [nose]}", "row 'a': ffg.0: Input should be 'expression' or 'face'"),
        ("a: {ffg: []}", "row 'a': title: Field required"),
        ("a: {title: A, weights: b}", "row 'a': weights: unknown trained row 'b'. Known: main."),
        ("a: {title: A, against: b}", "row 'a': against: unknown row 'b'"),
        (
            "a: {title: A}\nb: {title: B, weights: a, ffg: []}",
            "row 'b': landmarks, ffg and warp need a training",
        ),
        ("a b: {title: A}", "expected letters, digits"),
    ],
)
def test_mistakes_in_a_matrix_are_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        matrix.read(file)
    assert str(file) in str(error.value)
    assert message in str(error.value)


def test_chosen_rows_bring_what_they_refer_to() -> None:
    rows = matrix.read()
    names = [row.name for row in matrix.choose(rows, ["overlap", "without-alignment"])]
    assert names == ["full", "without-alignment", "progressive", "overlap"]
    assert sum(row.trained for row in rows) == 8


def test_rows_start_from_random_or_main_weights_and_never_know_their_landmarks(tmp_path: Path) -> None:
    main = {name: value.float() for name, value in load_file(packaged(MINI)).items()}

    def start(kind: str) -> dict[str, Any]:
        settings = recipe.Recipe(minutes=1, steps=(0, 1, 1, 1))
        return Training(tmp_path, MINI, settings, None, kind, 2, lambda: pytest.fail("not asked for"))._start

    random, continued = start("random"), start("main")
    for name, value in main.items():
        if name.startswith("autoencoder."):
            assert torch.equal(random[name], value)
        if name.startswith("animator.landmarks."):
            assert torch.equal(continued[name], random[name])
        else:
            assert torch.equal(continued[name], value)
    assert any(not torch.equal(random[n], v) for n, v in main.items() if n.startswith("animator.landmarks."))
    assert any(not torch.equal(random[n], v) for n, v in main.items() if n.startswith("animator.denoiser."))
