"""Trainings that were killed, tampered with or begun otherwise."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from fye_faster.presets import Preset
from fye_faster.train.data import TrainingSet
from fye_faster.train.mini import MiniTrainer
from fye_faster.train.training_log import jsonl
from tiny_training import Pixels, killed_and_continued, trainer, training_set


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return training_set()


def test_a_killed_training_continues_to_the_same_weights(
    tiny: Preset, data: TrainingSet, tmp_path: Path
) -> None:
    make = partial(trainer, tiny, data, steps=(2, 4, 3, 2))
    whole, again = killed_and_continued(make, tmp_path, saves=5)
    assert (again.phase, again.step) == (1, 2)
    result = again.run()
    for name, value in whole.items():
        assert torch.equal(result[name], value), name


def test_a_critic_goes_on_where_it_stood(tiny: Preset, data: TrainingSet, tmp_path: Path) -> None:
    make = partial(trainer, tiny, data, steps=(0, 0, 0, 5), perceptual=Pixels())
    whole, again = killed_and_continued(make, tmp_path, saves=3)
    assert (again.phase, again.step) == (3, 2)
    assert again.critic.steps == 2
    for name, value in again.run().items():
        assert torch.equal(value, whole[name]), name


def test_processes_go_on_with_draws_of_their_own(
    tiny: Preset, data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(tiny, data, tmp_path, (0, 1, 1, 0)).save()
    draws = []
    for index in (0, 1, 2):
        run = trainer(tiny, data, tmp_path, (0, 1, 1, 0))
        monkeypatch.setattr(type(run.accelerator), "process_index", index)
        assert run.resume()
        draws.append((run.batches.rng.random(), torch.rand((), generator=run.batches.torch_rng).item()))
    assert len({first for first, _ in draws}) == len({second for _, second in draws}) == 3


def test_a_kill_at_the_end_of_a_phase_keeps_the_best_weights(
    tiny: Preset, data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def start() -> MiniTrainer:
        run = trainer(tiny, data, tmp_path, (0, 3, 0, 0))
        run.recipe = replace(run.recipe, checkpoint_minutes=0)
        return run

    seen: dict[str, dict[str, torch.Tensor]] = {}

    def validate(weights: dict[str, torch.Tensor], label: str) -> float:
        seen[label] = {name: value.clone() for name, value in weights.items()}
        return 0.1 if label == "frames-000001" else 0.3

    def killed(_run: MiniTrainer, _phase: str) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(MiniTrainer, "_finish", killed)  # the best weights are in place, not yet saved
        with pytest.raises(KilledError):
            start().run(validate)
    again = start()
    assert again.resume()
    for name, value in again.run(validate).items():
        assert torch.equal(value, seen["frames-000001"][name]), name


def test_other_settings_than_the_checkpoint_s_are_refused(
    tiny: Preset, data: TrainingSet, tmp_path: Path
) -> None:
    trainer(tiny, data, tmp_path, (1, 1, 1, 1)).save()
    with pytest.raises(ValueError, match=r"state.json: the training to continue has steps .*2, 1\]"):
        trainer(tiny, data, tmp_path, (1, 1, 2, 1)).resume()
    other = trainer(tiny, data, tmp_path, (1, 1, 1, 1))
    other.recipe, other.start = replace(other.recipe, learning_rate=0.1), "abc"
    with pytest.raises(ValueError, match=r"learning rate 0\.0006, not 0\.1, start random weights, not abc"):
        other.resume()
    with pytest.raises(ValueError, match="sequences 3, not 2"):
        trainer(tiny, data[:2], tmp_path, (1, 1, 1, 1)).resume()
    moved = trainer(tiny, data, tmp_path, (1, 1, 1, 1))
    moved.recipe = replace(moved.recipe, device="cuda", checkpoint_minutes=1)
    assert moved.resume()


@pytest.fixture(scope="module")
def begun(tiny: Preset, data: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> MiniTrainer:
    """A training with a checkpoint in the middle of its first phase."""
    run = trainer(tiny, data, tmp_path_factory.mktemp("begun"), (2, 0, 0, 0))
    run._run_phase(None)
    run.step = 1
    run.save()
    return run


def edit(name: str, **values: object) -> Callable[[Path], object]:
    def change(out: Path) -> None:
        state = json.loads((out / name).read_text())
        (out / name).write_text(json.dumps({k: v for k, v in {**state, **values}.items() if v is not ...}))

    return change


def flip(pattern: str) -> Callable[[Path], object]:
    def change(out: Path) -> None:
        (file,) = out.glob(pattern)
        content = bytearray(file.read_bytes())
        content[-20] ^= 1
        file.write_bytes(content)

    return change


def foreign_moments(out: Path) -> None:
    """Of other parameters, in a folder whose state says nothing of digests."""
    (file,) = out.glob("*.pt")
    stored = torch.load(file, weights_only=True)
    for entry in stored["optimizer"]["state"].values():
        entry["exp_avg"] = torch.zeros(1)
    torch.save(stored, file)
    edit("state.json", sha256=...)(out)


def compressed_moments(out: Path) -> None:
    """As small as an archive of zeros can be, in a folder whose state says nothing of digests."""
    (file,) = out.glob("*.pt")
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    edit("state.json", sha256=...)(out)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda out: (out / "state.json").write_bytes(b"\xff{"), "state.json: the whole: Invalid JSON"),
        (lambda out: (out / "state.json").write_text("[" * 10000), "state.json: the whole: Invalid JSON"),
        (edit("state.json", checkpoint="../../checkpoint-0-000001"), "state.json: checkpoint: String should"),
        (edit("state.json", checkpoint="/etc/passwd"), "state.json: checkpoint: String should"),
        (edit("state.json", phase=7), "state.json: phase: expected 0 to 4, got 7"),
        (edit("state.json", step="1"), "state.json: step: Input should be"),
        (edit("state.json", spent=float("nan")), "state.json: spent: Input should be"),
        (edit("state.json", numpy={"bit_generator": "PCG64"}), "state.json: numpy: "),
        (edit("state.json", best={"error": 0.1, "step": 1}), "best-0-000001.safetensors: state.json names"),
        (flip("*.weights.safetensors"), "weights.safetensors: not the file that was written"),
        (flip("*.pt"), ".pt: not the file that was written"),
        (
            lambda out: next(out.glob("*.average.*")).unlink(),
            "average.safetensors: state.json names this file",
        ),
        (foreign_moments, ".pt: not the optimizer of this training"),
        (compressed_moments, ".pt: not the optimizer of this training (its members are compressed"),
    ],
)
def test_a_tampered_folder_is_an_error_that_names_the_file(
    begun: MiniTrainer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], object],
    told: str,
) -> None:
    assert begun.out is not None
    out = shutil.copytree(begun.out, tmp_path / "out")
    damage(out)
    monkeypatch.setattr(begun, "out", out)
    with pytest.raises(ValueError, match=re.escape(told)):
        begun.resume()


def test_checkpoints_of_earlier_versions_are_continued(
    tiny: Preset, data: TrainingSet, tmp_path: Path
) -> None:
    trainer(tiny, data, tmp_path, (1, 1, 1, 1)).save()
    edit("state.json", sha256=..., settings=...)(tmp_path)
    again = trainer(tiny, data, tmp_path, (1, 0, 0, 0))
    assert again.resume()
    again.save()
    assert trainer(tiny, data, tmp_path, (1, 0, 0, 0)).resume()


def test_only_the_main_process_writes_and_tells(
    tiny: Preset, data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[object] = []
    for main in (True, False):
        run = trainer(tiny, data, tmp_path / str(main), (0, 2, 0, 0))
        monkeypatch.setattr(type(run.accelerator), "is_main_process", main)
        run.log = records.append
        run.run(lambda _weights, _label: 0.0, lambda *told: records.append(told))
        if main:
            pictures = 3 * 9 + 3 * 2 * 9
            told = [record for record in records if isinstance(record, tuple)]
            assert told[-3:] == [("encode", pictures, pictures), ("frames", 1, 2), ("frames", 2, 2)]
            assert len(records) > len(told)
            records.clear()
    assert not records
    assert [path.name for path in tmp_path.iterdir()] == ["True"]


def test_a_torn_line_of_the_log_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"step": 1}\n{"st')
    jsonl(file)({"step": 2})
    assert [json.loads(line) for line in file.read_text().splitlines()] == [{"step": 1}, {"step": 2}]


def test_nothing_to_resume(tiny: Preset, data: TrainingSet, tmp_path: Path) -> None:
    assert not trainer(tiny, data, tmp_path, (1, 1, 1, 1)).resume()
