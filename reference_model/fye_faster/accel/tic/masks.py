"""Where features get Taylor terms before step G: the landmark mask M of Algorithm 1, on every feature's grid."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Region = Literal["expression", "face"]
Layout = Literal["map", "tokens", "motion"]
"""Shapes of one guidance row's features: `map` (F, C, h, w), `tokens` (F, h w, C), `motion` (h w, F, C)."""

_RADIUS = 0.03  # of the width, as `landmarks.expression_mask` dilates


def extent(shape: Sequence[int], layout: Layout) -> tuple[int, ...]:
    """A feature's shape without channels: (F, h, w), (F, h w) or (h w, F)."""
    return (shape[0], *shape[2:]) if layout == "map" else tuple(shape[:2])


def regions(maps: Tensor, region: Region) -> Tensor:
    """Masks of the aligned condition maps.

    Args:
        maps: (T, 3, H, W), black where nothing is drawn.
        region: `expression`, the dilated strokes, or `face`, the dilated convex hull of the strokes, since the
            maps leave the contour of the face out (any other masks go straight into `LandmarkMasks`).

    Returns:
        (T, H, W) bool; nothing is set in a frame where nothing is drawn.

    Raises:
        ValueError: wrong shape or region.
    """
    if maps.ndim != 4 or maps.shape[1] != 3:
        raise ValueError(f"maps: expected (T, 3, H, W), got {tuple(maps.shape)}")
    if region not in ("expression", "face"):
        raise ValueError(f"region: expected 'expression' or 'face', got {region!r}")
    drawn = (maps > 0).any(1)
    if region == "face":
        drawn = torch.stack([_hull(frame) for frame in drawn])
    radius = max(round(maps.shape[-1] * _RADIUS), 1)
    return F.max_pool2d(drawn[:, None].float(), 2 * radius + 1, 1, radius)[:, 0] > 0


def _hull(drawn: Tensor) -> Tensor:
    """(H, W) bool to its filled convex hull."""
    canvas = drawn.cpu().numpy().astype(np.uint8)
    points = cv2.findNonZero(canvas)
    if points is not None:
        cv2.fillConvexPoly(canvas, np.asarray(cv2.convexHull(points), np.int32), (1,))
    return torch.from_numpy(canvas).bool().to(drawn.device)


class LandmarkMasks:
    """Masks of all frames of a clip."""

    def __init__(self, masks: Tensor, latent_size: tuple[int, int]) -> None:
        """Take masks, (T, H, W) of 0 and 1, and the height and width of the latent grid.

        A frame whose mask is empty has no face: all of it counts as masked.

        Raises:
            ValueError: wrong shape, or coarser than the latent grid.
        """
        if masks.ndim != 3 or len(masks) == 0:
            raise ValueError(f"masks: expected (T, H, W) with T >= 1, got {tuple(masks.shape)}")
        if masks.shape[1] < latent_size[0] or masks.shape[2] < latent_size[1]:
            raise ValueError(
                f"masks: expected at least {latent_size} cells a frame, the latent grid, "
                f"got {tuple(masks.shape[1:])}"
            )
        masks = masks.bool()
        self._masks = masks | ~masks.any(2).any(1)[:, None, None]
        height, width = latent_size
        self._grids = {height * width: (height, width)}
        while height * width > 1:
            height, width = (height + 1) // 2, (width + 1) // 2  # as strided convolutions halve
            self._grids[height * width] = height, width

    @property
    def frames(self) -> int:
        """T."""
        return len(self._masks)

    def window(self, frames: Sequence[int]) -> "WindowMasks":
        """The masks of some frames of the clip, in this order."""
        return WindowMasks(self._masks[list(frames)], self._grids)


class WindowMasks:
    """Masks of the frames of one window, pooled to the grids that are asked for."""

    def __init__(self, masks: Tensor, grids: dict[int, tuple[int, int]]) -> None:
        """Take (F, H, W) bool masks and the grid that belongs to each number of tokens."""
        self._masks, self._grids = masks, grids
        self._pooled: dict[tuple[Layout, tuple[int, ...], torch.device], Tensor] = {}

    def on(self, layout: Layout, extent: tuple[int, ...], device: torch.device) -> Tensor:
        """Masks for one guidance row's features.

        A cell is masked if any of its pixels is: nearest sampling would lose eyes and mouth on coarse grids.

        Args:
            layout: of the features.
            extent: their shape without channels.
            device: where they are.

        Returns:
            bool, (F, 1, h, w), (F, h w, 1) or (h w, F, 1).

        Raises:
            ValueError: another number of frames than the window has, or of tokens than any level has.
        """
        key = layout, extent, device
        if key not in self._pooled:
            self._pooled[key] = self._pool(layout, extent).to(device)
        return self._pooled[key]

    def _pool(self, layout: Layout, extent: tuple[int, ...]) -> Tensor:
        """(F, 1, h, w), (F, N, 1) or (N, F, 1), by layout."""
        frames, *cells = extent if layout != "motion" else extent[::-1]
        if frames != len(self._masks):
            raise ValueError(
                f"features of {frames} frames meet masks of {len(self._masks)}: the window given to "
                "`step` must list the frames of each guidance row"
            )
        if layout != "map" and cells[0] not in self._grids:
            raise ValueError(
                f"features of {cells[0]} tokens fit none of the grids {list(self._grids.values())}: "
                "check latent_size of the landmark masks"
            )
        grid = tuple(cells) if layout == "map" else self._grids[cells[0]]
        pooled = F.adaptive_max_pool2d(self._masks[:, None].float(), grid) > 0
        if layout == "map":
            return pooled
        tokens = pooled.flatten(2).transpose(1, 2)
        return tokens if layout == "tokens" else tokens.transpose(0, 1)
