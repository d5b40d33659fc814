"""A deferred software rasteriser: surfaces in, a picture out, with OpenCV and numpy alone.

Each visible quad is filled with its own number, far ones first; the numbers left in the buffer say which quad every
pixel sees. From a per-quad table each pixel then solves where in that quad it lies, which is where it reads the
texture and the shading. So a frame costs one fast fill per quad and a handful of whole-picture operations.

Vertices are rounded to 1/16 pixel and shading to 1/255 before anything is drawn: differences in the last digit
between processors cannot reach a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from emojibench.synth.mesh import Array, Part

TEXELS = 8
"""Texels from one vertex to the next."""
_SHIFT = 4

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Layout:
    """All parts side by side: one list of vertices, one of quads, one atlas."""

    vertices: Array
    """float64 (n, 3), neutral pose."""
    neighbours: tuple[NDArray[np.intp], ...]
    """Of every vertex: the indices to the left, right, above and below."""
    quads: NDArray[np.intp]
    """(q, 4): corners in order round the quad, the first at the lowest row and column."""
    origin: NDArray[np.float32]
    """(2, q + 1): atlas column and row of each quad's centre; entry 0 is the background's."""
    bias: Array
    """(q,): added to each quad's depth."""
    two_sided: NDArray[np.bool_]
    two_sided_vertices: NDArray[np.bool_]
    slots: dict[str, tuple[int, int, int, int]]
    """Atlas row, column, rows and columns of each part, in vertices."""
    cells: tuple[NDArray[np.intp], NDArray[np.intp]]
    """Atlas row and column of each vertex."""
    labels: NDArray[np.uint8]
    """(q + 1,): number of the part each quad belongs to; 0 for the background."""
    shape: tuple[int, int]
    """Rows and columns of the atlas, in vertices."""


def arrange(parts: list[Part]) -> Layout:
    """Pack parts into an atlas, shelf by shelf, the first (the largest) on a shelf of its own."""
    width = max(p.points.shape[1] for p in parts)
    slots: dict[str, tuple[int, int, int, int]] = {}
    top, left, depth = 0, 0, 0
    for part in parts:
        rows, columns = part.points.shape[:2]
        if left + columns > width:
            top, left, depth = top + depth, 0, 0
        slots[part.name] = (top, left, rows, columns)
        left, depth = left + columns, max(depth, rows)
    vertices, quads, origins, sided, vertex_sided, labels, bias = [], [], [], [], [], [], []
    near: list[list[NDArray[np.intp]]] = [[], [], [], []]
    cells: list[list[NDArray[np.intp]]] = [[], []]
    count = 0
    for number, part in enumerate(parts, start=1):
        rows, columns = part.points.shape[:2]
        row, column = slots[part.name][:2]
        index = count + np.arange(rows * columns).reshape(rows, columns)
        i, j = np.mgrid[0:rows, 0:columns]
        if part.closed:
            before, after = (j - 1) % (columns - 1), j % (columns - 1) + 1
            before[:, -1], after[:, -1] = columns - 2, 1
        else:
            before, after = np.maximum(j - 1, 0), np.minimum(j + 1, columns - 1)
        pairs = ((i, before), (i, after), (np.maximum(i - 1, 0), j), (np.minimum(i + 1, rows - 1), j))
        for store, (a, b) in zip(near, pairs, strict=True):
            store.append(index[a, b].ravel())
        corners = (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
        quads.append(np.stack([c.ravel() for c in corners], axis=1))
        origins.append(np.stack([(j + column + 0.5)[:-1, :-1].ravel(), (i + row + 0.5)[:-1, :-1].ravel()]))
        bias.append(np.full(len(quads[-1]), part.bias))
        sided.append(np.full(len(quads[-1]), part.two_sided))
        labels.append(np.full(len(quads[-1]), number if part.outlined else 1, dtype=np.uint8))
        vertex_sided.append(np.full(rows * columns, part.two_sided))
        cells[0].append((i + row).ravel())
        cells[1].append((j + column).ravel())
        vertices.append(part.points.reshape(-1, 3))
        count += rows * columns
    return Layout(
        vertices=np.concatenate(vertices),
        neighbours=tuple(np.concatenate(n) for n in near),
        quads=np.concatenate(quads),
        origin=np.concatenate([np.zeros((2, 1)), *origins], axis=1).astype(np.float32),
        bias=np.concatenate(bias),
        two_sided=np.concatenate(sided),
        two_sided_vertices=np.concatenate(vertex_sided),
        slots=slots,
        cells=(np.concatenate(cells[0]), np.concatenate(cells[1])),
        labels=np.concatenate([np.zeros(1, dtype=np.uint8), *labels]),
        shape=(top + depth, width),
    )


def normals(layout: Layout, vertices: Array) -> Array:
    """Unit outward normals (n, 3)."""
    left, right, above, below = layout.neighbours
    n = np.cross(vertices[below] - vertices[above], vertices[right] - vertices[left])
    length = np.sqrt((n * n).sum(axis=1, keepdims=True))
    n = n / np.maximum(length, 1e-9)
    away = layout.two_sided_vertices & (n[:, 2] < 0)
    n[away] = -n[away]
    return np.asarray(n)


def visible_surface(
    layout: Layout, screen: Array, depth: Array, size: int
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
    """Which quad each pixel sees, and where on the atlas.

    `screen` is (n, 2) in pixels, `depth` (n,) larger when nearer. Returns (size, size) arrays: quad number counted
    from 1 (0 for the background), atlas column and atlas row in vertices.
    """
    fixed = np.round(screen * (1 << _SHIFT)).astype(np.int32)
    corners = fixed[layout.quads]
    a, b = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    # Twice the signed area; y runs down on the screen, so a quad that faces us is positive.
    area = a[:, 0].astype(np.int64) * b[:, 1] - a[:, 1].astype(np.int64) * b[:, 0]
    shown = np.flatnonzero((area > 0) | (layout.two_sided & (area != 0)))
    far = np.round(depth[layout.quads[shown]].mean(axis=1) + layout.bias[shown], 6)
    shown = shown[np.argsort(far, kind="stable")]
    buffer = np.zeros((size, size), np.float32)
    fill = cv2.fillConvexPoly
    for polygon, number in zip(list(corners[shown]), (shown + 1.0).tolist(), strict=True):
        fill(buffer, polygon, number, cv2.LINE_8, _SHIFT)
    seen = buffer.astype(np.intp)
    return seen, *_locate(layout, corners, seen)


def _locate(
    layout: Layout, corners: NDArray[np.int32], seen: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Solve p = centre + s e + t f + s t g for every pixel by two fixed-point steps; s and t lie in +-1/2."""
    p = corners.astype(np.float64) / (1 << _SHIFT)
    p00, p10, p11, p01 = p[:, 0], p[:, 1], p[:, 2], p[:, 3]
    e, f = (p10 + p11 - p00 - p01) / 2.0, (p01 + p11 - p00 - p10) / 2.0
    g, centre = p00 - p10 - p01 + p11, p.mean(axis=1)
    det = e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]
    inverse = np.where(np.abs(det) > 1e-3, 1.0 / np.where(np.abs(det) > 1e-3, det, 1.0), 0.0)

    def solve(v: Array) -> tuple[Array, Array]:
        return (f[:, 1] * v[:, 0] - f[:, 0] * v[:, 1]) * inverse, (
            e[:, 0] * v[:, 1] - e[:, 1] * v[:, 0]
        ) * inverse

    (c0, c1), (h0, h1) = solve(-centre), solve(g)
    table = np.zeros((8, len(p) + 1), np.float32)
    table[:, 1:] = (
        f[:, 1] * inverse,
        -f[:, 0] * inverse,
        c0,
        h0,
        -e[:, 1] * inverse,
        e[:, 0] * inverse,
        c1,
        h1,
    )
    m0, m1, c, hs, n0, n1, d, ht = (_gather(row, seen) for row in table)
    height, width = seen.shape
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    s0 = m0 * x + m1 * y + c
    t0 = n0 * x + n1 * y + d
    half = np.float32(0.5)
    s, t = np.clip(s0, -half, half), np.clip(t0, -half, half)
    for _ in range(2):
        product = s * t
        s, t = s0 - hs * product, t0 - ht * product
        np.clip(s, -half, half, out=s)
        np.clip(t, -half, half, out=t)
    return s + _gather(layout.origin[0], seen), t + _gather(layout.origin[1], seen)


def _gather(row: NDArray[np.float32], seen: NDArray[np.intp]) -> NDArray[np.float32]:
    out = np.empty(seen.shape, np.float32)
    # Mode "clip" lets numpy write straight into `out`; the numbers are always in range.
    np.take(row, seen, out=out, mode="clip")
    return out


def spread(layout: Layout, part: Part) -> Array:
    """Canonical positions of a part's texels, float64 (rows, columns, 3), bilinear between the vertices."""
    grid = part.canonical
    rows, columns = grid.shape[:2]

    def along(n: int) -> tuple[NDArray[np.intp], Array]:
        at = np.arange(n * TEXELS) / TEXELS
        i = np.minimum(at.astype(np.intp), n - 2)
        return i, np.minimum(at - i, 1.0)

    i, u = along(rows)
    j, v = along(columns)
    grid = grid[i] * (1 - u[:, None, None]) + grid[i + 1] * u[:, None, None]
    return np.asarray(grid[:, j] * (1 - v[:, None]) + grid[:, j + 1] * v[:, None])


def texel_window(layout: Layout, name: str) -> tuple[slice, slice]:
    """The texels of a part in the atlas texture."""
    row, column, rows, columns = layout.slots[name]
    return slice(row * TEXELS, (row + rows) * TEXELS), slice(column * TEXELS, (column + columns) * TEXELS)
