"""FVD: Fréchet distance of I3D features of generated and true videos.

Protocol. Features: 400 logits of I3D trained on Kinetics-400 (public weights `i3d_pretrained_400.pt`),
averaged over time; preprocessing as in `emojibench_metrics.i3d` (short side to 224 bilinear, centre crop, [-1, 1]).
- `fvd` (primary): non-overlapping windows of 16 frames, a rest of fewer is dropped (63 scored frames give 3
  windows, 64 give 4).
- `fvd_full`: the whole clip as one video; needs 9 frames.
- `fvd_floor`: `fvd` of the truth of even against odd clips: what a perfect method would score with half the
  clips.
Gaussian fit with N-1 covariance, distance in closed form and float64: tr (Sa Sb)^(1/2) is the sum of singular
values of A Bᵀ / sqrt((N-1)(M-1)) for centred features A, B, exact also where the covariance is singular. With
N well below 400 the value is biased upwards, strongly: compare only equal N, which every figure states
(clips).
Source: Unterthiner et al. 2018 (arXiv 1812.01717); regression: 8 videos of 30 frames at 64x64, zeros against
ones, score 151.26 with these weights (TensorFlow original 151.39).
"""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from emojibench_metrics.frames import checked_video
from emojibench_metrics.interface import Figure, FindWeights, Frames, Traits

if TYPE_CHECKING:
    from torch import Tensor

    from emojibench_metrics.i3d import I3D

WEIGHTS = "i3d-kinetics400"
WINDOW = 16
MINIMUM_CLIPS = 2

Features = NDArray[np.float64]


def _traits(name: str, better: Literal["lower", "none"], minimum_frames: int, what: str) -> Traits:
    return Traits(
        name=name,
        better=better,
        unit="",
        valid_range=(0.0, float("inf")),
        source=f"Unterthiner et al. 2018, I3D Kinetics-400 logits, N-1 covariance; {what}",
        needs=frozenset({"truth"}),
        minimum_frames=minimum_frames,
        decimals=1,
    )


TRAITS = (
    _traits("fvd", "lower", WINDOW, "non-overlapping 16-frame windows"),
    _traits("fvd_full", "lower", 9, "whole clips"),
    _traits("fvd_floor", "none", WINDOW, "truth of even against odd clips, 16-frame windows"),
)


def frechet_distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features; 0 for equal sets, symmetric.

    Args:
        a: (N, d) features, N at least 2.
        b: (M, d) features, M at least 2.

    Raises:
        ValueError: another shape, fewer than two rows, or values that are not finite.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"expected features (N, d) and (M, d), got {a.shape} and {b.shape}")
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a covariance needs at least 2 rows, got {len(a)} and {len(b)}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features contain NaN or infinity")
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    root_a, root_b = _covariance_root(a - mean_a), _covariance_root(b - mean_b)
    spread = np.sum(root_a**2) + np.sum(root_b**2)
    shared = np.linalg.norm(root_a @ root_b.T, ord="nuc")
    # Rounding may leave -1e-13 for equal sets.
    return float(max(np.sum((mean_a - mean_b) ** 2) + spread - 2 * shared, 0.0))


def _covariance_root(centred: Features) -> Features:
    """R of at most d rows with Rᵀ R = covariance (N-1)."""
    root = centred / np.sqrt(len(centred) - 1)
    return np.asarray(np.linalg.qr(root, mode="r")) if len(root) > root.shape[1] else root


def i3d_from_weights(weights: "dict[str, Tensor]") -> "I3D":
    """The network on this machine's device, ready to run.

    Raises:
        ValueError: names or shapes that are not those of `i3d_pretrained_400.pt`.
    """
    import torch

    from emojibench_metrics.i3d import I3D
    from emojibench_metrics.networks import device

    with torch.device("meta"):
        network = I3D()
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"weights do not fit I3D (i3d_pretrained_400.pt): {reason}") from error
    return network.to(device()).to(memory_format=torch.channels_last_3d).eval()


def i3d_features(frames: Frames, network: "I3D") -> Features:
    """(1 + T // 16, 400) features of one video: the whole clip first, then its 16-frame windows.

    A video of fewer than 9 frames has none: (0, 400).

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        network: from `i3d_from_weights`.

    Raises:
        ValueError: not uint8 RGB.
    """
    import torch

    from emojibench_metrics.i3d import CLASSES, MINIMUM_FRAMES, preprocess
    from emojibench_metrics.networks import device, map_batches

    frames = checked_video(frames, "video")
    if len(frames) < MINIMUM_FRAMES:
        return np.empty((0, CLASSES))
    windows = [slice(start, start + WINDOW) for start in range(0, len(frames) - WINDOW + 1, WINDOW)]
    parts = [slice(None), *windows]

    def logits(batch: slice) -> "Tensor":
        video = preprocess(frames[parts[batch.start]]).to(device())
        result: Tensor = network(video.contiguous(memory_format=torch.channels_last_3d))
        return result

    return map_batches(logits, len(parts), cpu=1, gpu=1).double().numpy()


class Fvd:
    """Fréchet video distance over 16-frame windows and over whole clips."""

    kind: Literal["set"] = "set"
    traits = TRAITS

    def __init__(self, find_weights: FindWeights) -> None:
        """Load I3D.

        Raises:
            ValueError: a file that is not `i3d_pretrained_400.pt`.
        """
        path = find_weights(WEIGHTS)
        from emojibench_metrics.networks import load_tensors

        self._network = i3d_from_weights(load_tensors(path))

    def features(self, frames: Frames) -> Features:
        """(1 + T // 16, 400): the whole clip first, then its 16-frame windows; see `i3d_features`."""
        return i3d_features(frames, self._network)

    def aggregate(self, generated: list[Features], truth: list[Features]) -> dict[str, Figure]:
        """FVD of a set of clips from the features of each; undefined figures say why."""
        return aggregate(generated, truth)


def aggregate(generated: list[Features], truth: list[Features]) -> dict[str, Figure]:
    """`fvd`, `fvd_full` and `fvd_floor` from the features of each clip (`i3d_features`).

    Clips too short for features count on neither side; n is the number of clips used.

    Raises:
        ValueError: lists of different length.
    """
    pairs = list(zip(generated, truth, strict=True))
    whole = [(g[:1], t[:1]) for g, t in pairs if len(g) and len(t)]
    windows = [(g[1:], t[1:]) for g, t in pairs if len(g) > 1 and len(t) > 1]
    even, odd = [t for _, t in windows[::2]], [t for _, t in windows[1::2]]
    return {
        "fvd": _figure([g for g, _ in windows], [t for _, t in windows], WINDOW),
        "fvd_full": _figure([g for g, _ in whole], [t for _, t in whole], 9),
        "fvd_floor": _figure(even[: len(odd)], odd, WINDOW),
    }


def _figure(a: list[Features], b: list[Features], minimum_frames: int) -> Figure:
    clips = len(a)
    if clips < MINIMUM_CLIPS:
        return Figure(
            None,
            clips,
            f"needs {MINIMUM_CLIPS} clips of at least {minimum_frames} frames on either side, got {clips}",
        )
    try:
        return Figure(frechet_distance(np.concatenate(a), np.concatenate(b)), clips)
    except ValueError as error:
        return Figure(None, clips, str(error))
