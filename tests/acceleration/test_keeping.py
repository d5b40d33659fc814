"""Traces and distances are measured once, kept, and made again when what they were made from changes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from emojibench import media
from emojibench.errors import UnavailableError
from emojibench.fye.acceleration import fidelity, tracing
from emojibench.fye.acceleration.fidelity import Fidelity
from emojibench.fye.acceleration.trace import Step, Trace
from emojibench.fye.acceleration.tracing import Tracing
from emojibench.runs.spec import clip_seed

FRAMES = ((0, 2), (1,))


class Method:
    """Latents of ones plus an offset that grows with the step; counts its calls."""

    calls: list[tuple[str, int]]

    def __init__(self, options: dict[str, str]) -> None:
        self.offset, self.steps = float(options["offset"]), int(options.get("steps", "3"))

    def traced(self, clip: str, *, seed: int, progress: Any) -> Trace:
        self.calls.append((clip, seed))
        windows = {
            frames: [
                Step(
                    torch.full((1, 2, len(frames), 4, 4), 1 + n * self.offset),
                    10 * (n + 1),
                    100 * len(frames),
                )
                for n in range(self.steps)
            ]
            for frames in FRAMES
        }
        return Trace(torch.full((3, 2, 4, 4), 1 + self.steps * self.offset), windows)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    Method.calls = []
    monkeypatch.setattr(tracing.registry, "load", lambda _group, _name: Method)
    monkeypatch.setattr(tracing, "load_dataset", lambda *_, **__: None)
    monkeypatch.setattr(tracing, "Clips", lambda _dataset, _frames: SimpleNamespace(clip=lambda name: name))
    return lambda: Tracing(spec("r0", "0"), ("a", "b"), tmp_path)


def spec(revision: str, offset: str, **options: str) -> Any:
    protocol = SimpleNamespace(size=8, detector="d", frames=3)
    return SimpleNamespace(
        dataset_ref="mini", dataset_digest="1", protocol=protocol, seed=7, method="m", revision=revision,
        options={"offset": offset, **options},
    )  # fmt: skip


def made(*revision: str, **options: str) -> Any:
    """A run."""
    return SimpleNamespace(spec=spec(*revision, **options), failed={})


def test_errors_and_costs_of_each_step_over_all_windows(make: Any) -> None:
    work = make()
    work.row("base", made("r0", "0"))
    found = work.row("other", made("r1", "0.5"))
    assert Method.calls[0] == ("a", clip_seed(7, "a"))  # as `emojibench run` draws it
    trace = found["a"]
    assert trace.step_errors == pytest.approx([0, 0.5, 1.0])
    assert trace.flops.tolist() == [20, 40, 60]
    assert trace.cached_bytes == 200
    assert trace.error(work.row("base", made("r0", "0"))["a"]) == pytest.approx([1.5] * 3)
    # Steps 0 of three and of four are equally noisy, no others are.
    four = work.row("four", made("r2", "0", steps="4"))["a"].step_errors
    assert four == pytest.approx([0, np.nan, np.nan], nan_ok=True)
    six = work.row("six", made("r3", "0", steps="6"))["a"].step_errors
    assert not np.isnan(six).any()  # every second of them is


def test_traces_are_kept_until_a_revision_changes(make: Any) -> None:
    work = make()
    work.row("base", made("r0", "0"))
    first = work.row("other", made("r1", "0.5"))["b"]
    assert len(Method.calls) == 4
    again = make()
    again.row("base", made("r0", "0"))
    kept = again.row("other", made("r1", "0.5"))["b"]
    assert len(Method.calls) == 4
    assert np.array_equal(kept.latents, first.latents)
    assert np.array_equal(kept.step_errors, first.step_errors)
    assert (kept.cached_bytes, kept.flops.tolist()) == (first.cached_bytes, first.flops.tolist())
    assert again.row("other", made("r9", "0.25"))["b"].step_errors == pytest.approx([0, 0.25, 0.5])
    assert len(Method.calls) == 6


def test_clips_that_failed_are_not_traced(make: Any) -> None:
    work, base, other = make(), made("r0", "0"), made("r1", "0.5")
    other.failed = {"a": "no face in any driving frame"}
    assert (work.wanted(base), work.wanted(other)) == (("a", "b"), ("b",))
    work.row("base", base)
    assert list(work.row("other", other)) == ["b"]
    assert [clip for clip, _ in Method.calls] == ["a", "b", "b"]


class Lpips:
    """Stands for a metric whose weights are there."""

    def __init__(self, _find: object) -> None: ...

    def per_frame(self, generated: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
        return {"lpips": np.abs(generated.astype(float) - truth).mean((1, 2, 3))}


def written(folder: Path, level: int, digest: str) -> Path:
    clip = folder / "animations" / "a"
    clip.mkdir(parents=True, exist_ok=True)
    media.write_lossless(clip / "frames.mkv", np.full((2, 16, 16, 3), level, np.uint8), 25)
    record = f'{{"clip_id": "a", "status": "ok", "digest": "{digest}"}}'
    (clip / "animation.json").write_text(record)
    return folder


def test_distances_are_measured_once_for_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, other = written(tmp_path / "base", 100, "x"), written(tmp_path / "other", 151, "y")

    def unavailable(_find: object) -> Lpips:
        raise UnavailableError("no such file")

    with monkeypatch.context() as without:
        without.setattr(fidelity.registry, "load", lambda *_: unavailable)
        measured = Fidelity(base, tmp_path / "kept")
        assert measured.missing == "lpips-squeeze: no such file"
        assert measured.of(other, {"a": "s", "absent": "s"})["a"].lpips is None

    monkeypatch.setattr(fidelity.registry, "load", lambda *_: Lpips)
    found = Fidelity(base, tmp_path / "kept").of(other, {"a": "s"})["a"]
    assert found.mse == pytest.approx([0.04, 0.04])
    assert found.lpips == [51, 51]  # the kept distances lacked it
    (base / "animations" / "a" / "frames.mkv").unlink()
    assert Fidelity(base, tmp_path / "kept").of(other, {"a": "s"})["a"] == found
