"""From noise to latents for a whole clip.

A sampler decides which frames are denoised together, and in which order; it knows nothing of networks.
`progressive` is the paper's strategy (section 4.3); `overlapping_windows` is what Fig. 11 compares it with: windows
whose predictions are blended smoothly, and, without overlap, plain concatenation of clips.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from diffusers import SchedulerMixin
from torch import Tensor

Progress = Callable[[int, int], None]


class Denoiser(Protocol):
    """A network that remembers one portrait, such as `fye_faster.nets.animator.Animator`."""

    def drop_reference(self, unconditional: int) -> None:
        """Let the first `unconditional` samples of the coming `denoise` calls ignore the portrait."""
        ...

    def denoise(self, noisy: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Latents (B, C, L, h, w) at timestep () and condition (B, D, L, h, w) to v, of the latents' shape."""
        ...


class Predict(Protocol):
    """A guided prediction of v for the frames of one window."""

    def __call__(self, noisy: Tensor, step: int) -> Tensor:
        """(1, C, L, h, w) latents at the scheduler's `step` to v of the same shape."""
        ...


class Condition(Protocol):
    """Makes the prediction for a window."""

    def __call__(self, frames: list[int], anchors: Tensor) -> Predict:
        """Take frames of the clip, and `anchors` (1, C + 1, L, h, w) as `Animator.encode_condition` does."""
        ...


class Guided:
    """Classifier-free guidance over a denoiser that remembers one portrait.

    Rows are [unconditional, conditional]: the first pays the portrait no attention, both get the condition. Steps
    that are not guided need no unconditional row.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        condition: Tensor,
        timesteps: Tensor,
        scale: float,
        guided: float,
        rescale: float,
    ) -> None:
        """Take a window's condition (1, D, L, h, w), the solver's timesteps (T,), and `guidance`, `guided` and
        `guidance_rescale` of a preset. Where the timesteps lie on the denoiser's device, no step waits for it.
        """
        self.denoiser, self.condition, self.timesteps = denoiser, condition, timesteps
        self.scale, self.rescale = scale, rescale
        self.guided = 0 if scale == 1 else math.ceil(guided * len(timesteps))

    def __call__(self, noisy: Tensor, step: int) -> Tensor:
        """See `Predict`."""
        if step >= self.guided:
            return self.rows(noisy, step, 1)[0]
        return self.mix(*self.rows(noisy, step, 2))

    def rows(self, noisy: Tensor, step: int, count: int) -> tuple[Tensor, ...]:
        """Predictions before guidance, each of the latents' shape (1, C, L, h, w).

        Args:
            noisy: latents.
            step: the scheduler's.
            count: 1 for the conditional row alone, 2 for [unconditional, conditional].
        """
        self.denoiser.drop_reference(count - 1)
        v = self.denoiser.denoise(
            noisy.expand(count, -1, -1, -1, -1),
            self.timesteps[step].expand(count),
            self.condition.expand(count, -1, -1, -1, -1),
        )
        return v.chunk(count)

    def mix(self, unconditional: Tensor, conditional: Tensor) -> Tensor:
        """The guided prediction of two rows, all of one shape."""
        guided = unconditional + self.scale * (conditional - unconditional)
        if self.rescale == 0:
            return guided
        ratio = conditional.std(dim=(1, 3, 4), keepdim=True) / guided.std(dim=(1, 3, 4), keepdim=True)
        return guided * (self.rescale * ratio + 1 - self.rescale)


@dataclass(frozen=True)
class Window:
    """Frames that are denoised together."""

    frames: list[int]
    known: tuple[int, ...] = ()
    """Positions in `frames` that an earlier window has made: the anchors."""


def plan(frames: int, length: int) -> list[Window]:
    """Windows of the progressive strategy in the order of generation.

    Keyframes first, spread evenly from the first frame to the last; then, between each two neighbours, the frames in
    between with both as anchors. Where there are more keyframes than fit a window, they are made the same way.

    Args:
        frames: T, of the clip.
        length: L, of a window, anchors included.

    Raises:
        ValueError: no frames, or a window too short to hold a frame between two anchors.
    """
    if frames < 1 or length < 3:
        raise ValueError(f"expected frames >= 1 and length >= 3, got {frames} and {length}")
    if frames <= length:
        return [Window(list(range(frames)))]
    keys = torch.linspace(0, frames - 1, math.ceil((frames - 1) / (length - 1)) + 1).round().int().tolist()
    first = [Window([keys[i] for i in w.frames], w.known) for w in plan(len(keys), length)]
    between = [Window(list(range(a, b + 1)), (0, b - a)) for a, b in pairwise(keys) if b - a > 1]
    return first + between


def progressive(
    condition: Condition, noise: Tensor, scheduler: SchedulerMixin, *, length: int, progress: Progress
) -> Tensor:
    """Denoise the windows of `plan` one after the other.

    Args:
        condition: makes the guided prediction of a window.
        noise: (1, C, T, h, w).
        scheduler: ready to sample (such as `schedule.ddim(steps)`); each window gets a copy.
        length: L, frames in a window.
        progress: called as progress(done, total) after each step of each window.

    Returns:
        (1, C, T, h, w) clean latents.
    """
    clean = torch.empty_like(noise)
    windows, steps = plan(noise.shape[2], length), len(scheduler.timesteps)
    for i, window in enumerate(windows):
        latents = noise[:, :, window.frames]
        anchors = no_anchors(latents)
        for position in window.known:
            anchors[:, :-1, position] = clean[:, :, window.frames[position]]
            anchors[:, -1, position] = 1
        predict = condition(window.frames, anchors)
        solver = copy.deepcopy(scheduler)  # solvers of higher order keep a history
        for step, t in enumerate(solver.timesteps):
            latents = solver.step(predict(latents, step), t, latents).prev_sample
            progress(i * steps + step + 1, len(windows) * steps)
        for position, frame in enumerate(window.frames):
            if position not in window.known:
                clean[:, :, frame] = latents[:, :, position]
    return clean


def spans(frames: int, length: int, overlap: int) -> list[range]:
    """Windows of `length` frames that share `overlap`; the last one is full as well, moved back to end with the clip.

    Raises:
        ValueError: no frames, or an overlap that leaves no step.
    """
    if frames < 1 or not 0 <= overlap < length:
        raise ValueError(f"expected frames >= 1 and 0 <= overlap < length, got {frames}, {overlap}, {length}")
    if frames <= length:
        return [range(frames)]
    starts = [*range(0, frames - length, length - overlap), frames - length]
    return [range(start, start + length) for start in starts]


def pieces(frames: int, length: int) -> list[range]:
    """Windows of `length` frames side by side; what is left at the end of the clip is a shorter one."""
    return [range(start, min(start + length, frames)) for start in range(0, frames, length)]


def blend_weights(length: int) -> Tensor:
    """(length,) positive weights, a Gaussian around the middle of a window, whose deviation is .15 of its length.

    Where windows of sixteen frames share four, the later one's share rises by .04, .26, .74, .96.
    """
    return torch.exp(-0.5 * ((torch.arange(length) - (length - 1) / 2) / (0.15 * length)).square())


def overlapping_windows(
    condition: Condition,
    noise: Tensor,
    scheduler: SchedulerMixin,
    *,
    windows: Sequence[range],
    progress: Progress,
) -> Tensor:
    """Denoise all windows at each step and average their predictions of v where they overlap.

    Args:
        condition: makes the guided prediction of a window.
        noise: (1, C, T, h, w).
        scheduler: ready to sample (such as `schedule.ddim(steps)`).
        windows: such as `spans` or `pieces`; all T frames are in one at least. Windows that share no frame make clips
            that know nothing of each other.
        progress: called as progress(done, total) after each window of each step.

    Returns:
        (1, C, T, h, w) clean latents.
    """
    latents = noise
    predictions = [condition(list(span), no_anchors(noise[:, :, list(span)])) for span in windows]
    weights = [blend_weights(len(span)).view(1, 1, -1, 1, 1).to(noise.device) for span in windows]
    total = len(scheduler.timesteps) * len(windows)
    mass = torch.zeros(1, 1, noise.shape[2], 1, 1, device=noise.device)
    for span, weight in zip(windows, weights, strict=True):
        mass[:, :, span.start : span.stop] += weight
    for step, t in enumerate(scheduler.timesteps):
        v = torch.zeros_like(latents)
        for j, (span, weight, predict) in enumerate(zip(windows, weights, predictions, strict=True)):
            inside = slice(span.start, span.stop)
            v[:, :, inside] += weight * predict(latents[:, :, inside], step)
            progress(step * len(windows) + j + 1, total)
        latents = scheduler.step(v / mass, t, latents).prev_sample
    return latents


def no_anchors(latents: Tensor) -> Tensor:
    """Anchors (1, C + 1, L, h, w) of a window (1, C, L, h, w) of which no frame is known.

    Training shows them for keyframes, too: the networks that encode anchors add their bias to every window.
    """
    return torch.zeros_like(torch.cat([latents, latents[:, :1]], 1))
