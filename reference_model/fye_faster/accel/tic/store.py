"""The features of a clip, by window, module and guidance row, and what the current step may do with them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fye_faster.accel.tic.masks import LandmarkMasks, Layout, WindowMasks, extent
from fye_faster.accel.tic.predictors import History, Predictor
from fye_faster.accel.tic.schedule import Schedule


@dataclass
class WindowState:
    """One window's way through the steps."""

    masks: WindowMasks | None
    next_step: int = 0
    full: list[int] = field(default_factory=list)
    """Full steps so far."""
    drift: float = 0.0
    """Accumulated relative L1 change of the signal since the last full step."""
    signal: Tensor | None = None
    """Of the latest step."""
    histories: dict[tuple[str, str], History] = field(default_factory=dict)
    """By module and guidance row."""


@dataclass
class StepState:
    """The step in progress."""

    step: int
    full: bool
    rows: tuple[str, ...]
    state: WindowState
    seen: set[str] = field(default_factory=set)
    """Modules that were called already."""


class Store:
    """What the patched modules of one UNet read and write."""

    def __init__(self, schedule: Schedule, order: int, boundary: int, predictor: Predictor) -> None:
        """Predict with order O, outside masks from step `boundary` (G) on."""
        self.schedule, self.order, self.boundary, self.predictor = schedule, order, boundary, predictor
        self.modules: set[str] = set()
        """Names of the modules that record and predict."""
        self._windows: dict[tuple[int, ...], WindowState] = {}
        self._now: StepState | None = None
        self._frames = 0
        self._masks: LandmarkMasks | None = None

    @property
    def running(self) -> bool:
        """Whether a step is in progress or a window has steps to come."""
        steps = self.schedule.steps
        return self._now is not None or any(t.next_step < steps for t in self._windows.values())

    @property
    def bytes(self) -> int:
        """Of all features kept."""
        windows = self._windows.values()
        return sum(history.bytes for state in windows for history in state.histories.values())

    def start(self, frames: int, masks: LandmarkMasks | None) -> None:
        """Forget everything; the coming windows belong to a clip of this many frames."""
        self.reset()
        self._frames, self._masks = frames, masks

    def reset(self) -> None:
        """Forget all features and steps.

        Raises:
            RuntimeError: a step is in progress.
        """
        if self._now is not None:
            raise RuntimeError(f"the Taylor cache cannot be reset during step {self._now.step}")
        self._windows.clear()

    def full_steps(self, window: Sequence[int]) -> tuple[int, ...]:
        """Steps of a window that ran in full so far."""
        state = self._windows.get(tuple(window))
        return () if state is None else tuple(state.full)

    @contextmanager
    def step(
        self, step: int, window: Sequence[int], rows: Sequence[str], signal: Tensor | None
    ) -> Iterator[bool]:
        """See `TaylorCache.step`."""
        if self._now is not None:
            raise RuntimeError(f"step {step} begins before step {self._now.step} has ended")
        key = tuple(window)
        self._check(step, key, tuple(rows), signal)
        if (
            state := self._windows.get(key)
        ) is None:  # cutting masks out waits for the device: once, not at every step
            state = self._windows[key] = WindowState(self._masks.window(key) if self._masks else None)
        skipped = step - state.full[-1] - 1 if state.full else 0
        if signal is not None and self.schedule.needs_signal:
            _accumulate(state, signal)
        full = self.schedule.is_full(step, skipped, state.drift)
        self._now = now = StepState(step, full, tuple(rows), state)
        ended = False
        try:
            yield full
            if now.seen != self.modules:
                raise RuntimeError(
                    f"step {step} ended, but only {len(now.seen)} of {len(self.modules)} cached modules ran: "
                    "call the UNet once inside `step`"
                )
            ended = True
        finally:
            self._now = None
            if not ended:  # half recorded: of no use to later steps
                del self._windows[key]
        if full:
            state.full.append(step)
            state.drift = 0.0
        state.next_step = step + 1
        if state.next_step == self.schedule.steps:
            state.histories.clear()
            state.signal = None

    def _check(
        self, step: int, window: tuple[int, ...], rows: tuple[str, ...], signal: Tensor | None
    ) -> None:
        if self._frames == 0:
            raise RuntimeError("call `start(frames, masks)` before the first step of a clip")
        if not window or not all(0 <= frame < self._frames for frame in window):
            raise ValueError(f"window: expected frames from 0 to {self._frames - 1}, got {list(window)}")
        if not rows or len(set(rows)) != len(rows):
            raise ValueError(f"rows: expected distinct names of the batch's guidance rows, got {rows}")
        if self.schedule.needs_signal and signal is None:
            raise ValueError("signal: an adaptive schedule needs one, such as the noisy latents; got None")
        expected = self._windows[window].next_step if window in self._windows else 0
        if expected == self.schedule.steps:
            raise ValueError(
                f"step: this window has finished all {expected} steps; call `reset` or `start` before the next run"
            )
        if step != expected:
            raise ValueError(f"step: expected {expected} next for this window, got {step}")

    def running_full(self) -> bool:
        """Whether the step in progress is a full one.

        Raises:
            RuntimeError: none is in progress.
        """
        return self._current().full

    def record(self, name: str, layout: Layout, feature: Tensor) -> None:
        """Take in a feature (R K, ...) of a full step, where the K elements of R guidance rows follow each other."""
        now = self._enter(name)
        for row, part in zip(now.rows, self._rows(name, feature), strict=True):
            history = now.state.histories.setdefault((name, row), History(self.order))
            if history.order >= 0 and history.shape != part.shape:
                raise ValueError(
                    f"{name}: features of {tuple(history.shape)} became {tuple(part.shape)} within one run; "
                    "call `start` before another size"
                )
            history.record(now.step, part)
            if now.state.masks:  # find out now, not at a later step, if they do not fit
                now.state.masks.on(layout, extent(part.shape, layout), part.device)

    def predict(self, name: str, layout: Layout, given: Tensor) -> Tensor:
        """A module's feature at a skipped step.

        Args:
            name: of the module.
            layout: of the feature.
            given: the module's input: same shape as the feature but for the channels.
        """
        now, parts = self._enter(name), []
        for row, part in zip(now.rows, self._rows(name, given), strict=True):
            history = now.state.histories.get((name, row))
            if history is None or history.last != now.state.full[-1]:
                raise ValueError(
                    f"rows: {row!r} was absent at the last full step ({now.state.full[-1]}), so nothing is known "
                    f"of it at step {now.step}; a row may stop but not come back before a full step"
                )
            size = extent(history.shape, layout)
            if size != extent(part.shape, layout):
                raise ValueError(
                    f"{name}: features of {size} (without channels) became {extent(part.shape, layout)} within "
                    "one run; call `start` before another size"
                )
            mask = now.state.masks.on(layout, size, given.device) if now.state.masks else None
            parts.append(history.predict(now.step, self.predictor, self.boundary, mask))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _enter(self, name: str) -> StepState:
        now = self._current()
        if name in now.seen:
            raise RuntimeError(f"{name} ran twice in step {now.step}: call the UNet once inside `step`")
        now.seen.add(name)
        return now

    def _current(self) -> StepState:
        if self._now is None:
            raise RuntimeError(
                "a Taylor cache is attached: call the UNet inside `cache.step(...)`, or detach it"
            )
        return self._now

    def _rows(self, name: str, features: Tensor) -> tuple[Tensor, ...]:
        """(R K, ...) to R times (K, ...)."""
        count = len(self._current().rows)
        if len(features) % count:
            raise ValueError(
                f"{name}: a batch of {len(features)} does not divide into {count} guidance rows "
                f"{self._current().rows}"
            )
        return features.chunk(count)


def _accumulate(state: WindowState, signal: Tensor) -> None:
    """Add the relative L1 change since the window's previous step to its drift; any shape, always the same."""
    if state.signal is not None:
        change = (signal - state.signal).abs().mean() / state.signal.abs().mean()
        state.drift += change.item()  # waits for the device: only adaptive schedules pay this
    state.signal = signal.detach().clone()
