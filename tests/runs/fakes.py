"""A tiny benchmark for the tests of runs: importable by name, because workers are spawned."""

import contextlib
import hashlib
import os
import sys
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from emojibench_metrics.interface import Figure, Traits

from emojibench.dataset.clip import Clip
from emojibench.dataset.dataset import Dataset
from emojibench.errors import UnavailableError, UserError
from emojibench.face.driving import DrivingSequence
from emojibench.methods import Animation

SIDE, FRAMES = 32, 5
IDS = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Entry:
    clip_id: str
    subject: str
    domain: str = "cartoon"
    frames: int = FRAMES


@dataclass(frozen=True)
class FakeDataset:
    size: int
    detector: str
    name: str = "fake"
    version: str = "1"
    digest: str = "d" * 64
    frames: int = FRAMES
    entries: tuple[Entry, ...] = tuple(Entry(clip_id, f"s{i // 2}") for i, clip_id in enumerate(IDS))
    roots = ()
    chosen = Dataset.chosen
    checked_frames = Dataset.checked_frames

    def clip_ids(self, split: str) -> list[str]:
        if split not in ("self", "cross"):
            raise UserError(f"unknown split {split!r}")
        return list(IDS)

    def clip(self, clip_id: str) -> Clip:
        rng = np.random.default_rng(IDS.index(clip_id))
        portrait = rng.integers(0, 256, (self.size, self.size, 3), np.uint8)
        landmarks = rng.random((_length(clip_id), 478, 3), np.float32)
        driving = DrivingSequence(landmarks, 25.0, (SIDE, SIDE), self.detector)
        return Clip(clip_id, "self", "cartoon", "s", "s", portrait, landmarks[0], driving)

    def sources(self, clip_id: str) -> tuple[Path, ...]:
        return ()

    def ground_truth(self, clip_id: str) -> Any:
        return np.repeat(self.clip(clip_id).portrait[None], _length(clip_id), axis=0)

    def prepare(self, clip_ids: Any, *, executor: Any = None, quiet: bool = False) -> None:
        return None


def _length(clip_id: str) -> int:
    """Frames of a clip; FAKE_SHORT names one that has fewer."""
    return 3 if clip_id == os.environ.get("FAKE_SHORT") else FRAMES


def load_dataset(ref: Any, *, size: int | None = None, detector: str = "auto") -> FakeDataset:
    return FakeDataset(size or SIDE, "fake-detector")


class FakeDetector:
    id = "fake-detector"

    def detect_video(self, frames: Any, *, fps: float) -> DrivingSequence:
        landmarks = np.zeros((len(frames), 478, 3), np.float32) + frames.mean(axis=(1, 2, 3))[:, None, None]
        return DrivingSequence(landmarks.astype(np.float32), fps, (SIDE, SIDE), self.id)


def open_detector(name: str) -> FakeDetector:
    return FakeDetector()


class FakeMethod:
    """The portrait plus noise. Options: `log=FILE` records calls; `<clip>=<fate>` breaks a clip."""

    name = "fake"

    def __init__(self, options: Any) -> None:
        if "nonsense" in options:
            raise UserError("unknown option of fake 'nonsense'")
        self.options = dict(options)
        if "broken" in options:
            self.no_such_attribute  # noqa: B018
        self.revision = self.options.get("revision", "1")
        if "revision of" in self.options:
            self.revision = os.environ.get("FAKE_REVISION_OF_TWO", self.revision)
        weights = self.options.get("weights", "ab" * 32)  # a file or its digest
        if Path(weights).is_file():
            weights = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
        self.weight_files = {"noise.bin": weights}
        if not self.options.get("count"):
            _without_torch()

    def animate(self, clip: Clip, *, seed: int, progress: Any) -> Animation:
        if log := self.options.get("log"):
            with Path(log).open("a") as lines:
                lines.write(f"{clip.clip_id} {os.getpid()}\n")
        print("method talks to stdout")
        shape = (clip.frames, *clip.portrait.shape)
        noise = np.random.default_rng(seed).integers(0, 8, shape, np.uint8)
        frames = (clip.portrait[None] >> 1) + noise
        fate = self.options.get(clip.clip_id, "")
        progress(1, 2)
        if fate == "raise":
            raise RuntimeError("the network\nexploded")
        if fate == "short":
            frames = frames[1:]
        if fate == "float":
            frames = frames.astype(np.float32)
        if fate == "hang":
            time.sleep(600)
        if fate == "die":
            os._exit(9)
        if fate.startswith("wait:"):  # until a file appears
            while not Path(fate.removeprefix("wait:")).exists():
                time.sleep(0.02)
        return Animation(frames, 25.0, {"draw": 0.001})


def _without_torch() -> None:
    """Importing torch takes seconds; methods that never touch it count zero either way."""

    @contextlib.contextmanager
    def count_flops() -> Iterator[Any]:
        yield types.SimpleNamespace(total=0)

    stub: Any = types.ModuleType("emojibench_metrics.flops")
    stub.count_flops = count_flops
    sys.modules.setdefault("emojibench_metrics.flops", stub)


class SmallMethod(FakeMethod):
    """Works at half the size only, and returns what it was given."""

    size = SIDE // 2

    def animate(self, clip: Clip, *, seed: int, progress: Any) -> Animation:
        assert clip.portrait.shape == (self.size, self.size, 3)
        return Animation(np.repeat(clip.portrait[None], clip.frames, axis=0), 25.0)


class TorchMethod(FakeMethod):
    """Multiplies matrices, 2 * 8^3 FLOPs a clip, whatever it shows."""

    cost_by_shape = True
    times = 1

    def __init__(self, options: Any) -> None:
        super().__init__({**options, "count": "yes"})

    def animate(self, clip: Clip, *, seed: int, progress: Any) -> Animation:
        import torch

        for _ in range(self.times):
            torch.ones(8, 8) @ torch.ones(8, 8)
        return super().animate(clip, seed=seed, progress=progress)


class AdaptiveMethod(TorchMethod):
    """Does more for each later clip, and does not say that shapes decide its cost."""

    cost_by_shape = False

    def animate(self, clip: Clip, *, seed: int, progress: Any) -> Animation:
        self.times = 1 + IDS.index(clip.clip_id)
        return super().animate(clip, seed=seed, progress=progress)


def _traits(name: str, *needs: Any, high: float = float("inf"), minimum_frames: int = 1) -> Traits:
    return Traits(name, "lower", "u", (0.0, high), "here", frozenset(needs), minimum_frames)


class FakeL1:
    kind = "clip"
    traits = (_traits("fake_l1", "truth"), _traits("fake_long", minimum_frames=100))

    def __init__(self, find_weights: Any) -> None:
        pass

    def measure(self, clip: Any) -> dict[str, Figure]:
        difference = np.abs(clip.generated.astype(float) - clip.truth).mean()
        return {"fake_l1": Figure(float(difference), len(clip.generated))}


class FakeFace:
    kind = "clip"
    traits = (_traits("fake_face", "generated_landmarks", "target_landmarks"),)

    def __init__(self, find_weights: Any) -> None:
        pass

    def measure(self, clip: Any) -> dict[str, Figure]:
        error = np.abs(clip.generated_landmarks - clip.target_landmarks).mean()
        return {"fake_face": Figure(float(error), len(clip.generated))}


class FakeSurvivors(FakeL1):
    """Sees a face on one frame a clip, and on none of clip `d` (known by its portrait)."""

    traits = (_traits("fake_survivors"),)

    def measure(self, clip: Any) -> dict[str, Figure]:
        total = len(clip.generated)
        if np.array_equal(clip.portrait, FakeDataset(SIDE, "").clip("d").portrait):
            return {"fake_survivors": Figure(None, 0, "no face", total)}
        return {"fake_survivors": Figure(1.0, 1, total=total)}


class FakeSet:
    kind = "set"
    traits = (_traits("fake_set", "truth"),)

    def __init__(self, find_weights: Any) -> None:
        pass

    def features(self, frames: Any) -> Any:
        return frames.reshape(len(frames), -1)[:, :3].astype(np.float64)

    def aggregate(self, generated: Any, truth: Any) -> dict[str, Figure]:
        if len(generated) < 2:
            return {"fake_set": Figure(None, len(generated), "needs 2 clips")}
        gap = np.concatenate(generated).mean(0) - np.concatenate(truth).mean(0)
        return {"fake_set": Figure(float(gap @ gap), len(generated))}


class FakePair(FakeSet):
    """Two values of the set, one of which needs longer clips."""

    traits = (_traits("fake_short", "truth"), _traits("fake_pair", "truth", minimum_frames=4))

    def aggregate(self, generated: Any, truth: Any) -> dict[str, Figure]:
        (found,) = super().aggregate(generated, truth).values()
        return {traits.name: found for traits in self.traits}


class FakeMissing(FakeL1):
    traits = (
        _traits("fake_missing"),
        _traits("fake_missing_too"),
        _traits("fake_missing_long", minimum_frames=100),
    )

    def __init__(self, find_weights: Any) -> None:
        raise UnavailableError("weights.bin is not here\nand cannot be fetched")


class FakeBroken(FakeL1):
    traits = (_traits("fake_range", high=1.0), _traits("fake_forgotten"), _traits("fake_nan"))

    def measure(self, clip: Any) -> dict[str, Figure]:
        return {"fake_range": Figure(7.0, 4), "fake_nan": Figure(float("nan"), 4)}


class FakeRaising(FakeL1):
    traits = (_traits("fake_raising"),)

    def measure(self, clip: Any) -> dict[str, Figure]:
        raise ZeroDivisionError("oh dear")
