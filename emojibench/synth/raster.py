"""A deferred software rasteriser: surfaces in, a picture out.

Each visible quad is filled with its own number, far ones first; the numbers left in the buffer say which quad every
pixel sees. From a per-quad table each pixel then solves where in that quad it lies, which is where it reads the
texture and the shading.

Vertices are rounded to 1/16 pixel and shading to 1/255 before anything is drawn: differences in the last digit
between processors cannot reach a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emojibench.synth.compiled import HALF, clip, compiled
from emojibench.synth.fill import SHIFT, fill_quads
from emojibench.synth.mesh import Array, Part

TEXELS = 8
"""Texels from one vertex to the next."""


@dataclass(frozen=True, eq=False)
class MeshLayout:
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


def arrange(parts: list[Part]) -> MeshLayout:
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
    return MeshLayout(
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


def normals(layout: MeshLayout, vertices: Array) -> Array:
    """Unit outward normals (n, 3)."""
    left, right, above, below = layout.neighbours
    n = np.cross(vertices[below] - vertices[above], vertices[right] - vertices[left])
    length = np.sqrt((n * n).sum(axis=1, keepdims=True))
    n = n / np.maximum(length, 1e-9)
    away = layout.two_sided_vertices & (n[:, 2] < 0)
    n[away] = -n[away]
    return np.asarray(n)


def visible_surface(
    layout: MeshLayout, screen: Array, depth: Array, size: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Which quad each pixel sees, and how to find a pixel's place in a quad.

    `screen` is (n, 2) in pixels, `depth` (n,) larger when nearer. Returns quad numbers counted from 1 (0 for the
    background), (size, size), and the table (q + 1, 10) that `place` reads, which holds quads that face us.
    """
    fixed = np.round(screen * (1 << SHIFT)).astype(np.int32)
    corners = fixed[layout.quads]
    a, b = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    # Twice the signed area; y runs down on the screen, so a quad that faces us is positive.
    area = a[:, 0].astype(np.int64) * b[:, 1] - a[:, 1].astype(np.int64) * b[:, 0]
    shown = np.flatnonzero((area > 0) | (layout.two_sided & (area != 0)))
    far = np.round(depth[layout.quads[shown]].mean(axis=1) + layout.bias[shown], 6)
    shown = shown[np.argsort(far, kind="stable")]
    seen = np.zeros((size, size), np.int32)
    fill_quads(corners, shown, seen)
    table = np.zeros((len(corners) + 1, 10), np.float32)
    _solve(corners, shown, layout.origin, table)
    return seen, table


@compiled
def _solve(
    corners: NDArray[np.int32],
    shown: NDArray[np.intp],
    origin: NDArray[np.float32],
    table: NDArray[np.float32],
) -> None:
    """Write what `place` needs: a quad's points are p = centre + s e + t f + s t g; s and t are wanted from p."""
    unit = 1.0 / (1 << SHIFT)
    for quad in shown:
        x00, x10, x11, x01 = corners[quad, :, 0] * unit
        y00, y10, y11, y01 = corners[quad, :, 1] * unit
        ex, ey = (x10 + x11 - x00 - x01) / 2.0, (y10 + y11 - y00 - y01) / 2.0
        fx, fy = (x01 + x11 - x00 - x10) / 2.0, (y01 + y11 - y00 - y10) / 2.0
        gx, gy = x00 - x10 - x01 + x11, y00 - y10 - y01 + y11
        cx, cy = (x00 + x10 + x11 + x01) / 4.0, (y00 + y10 + y11 + y01) / 4.0
        det = ex * fy - ey * fx
        inverse = 1.0 / det if abs(det) > 1e-3 else 0.0
        row = table[quad + 1]
        row[0], row[1], row[2] = fy * inverse, -fx * inverse, (fy * -cx - fx * -cy) * inverse
        row[3] = (fy * gx - fx * gy) * inverse
        row[4], row[5], row[6] = -ey * inverse, ex * inverse, (ex * -cy - ey * -cx) * inverse
        row[7] = (ex * gy - ey * gx) * inverse
        row[8], row[9] = origin[0, quad + 1], origin[1, quad + 1]


@compiled
def place(row: NDArray[np.float32], x: int, y: int) -> tuple[np.float32, np.float32]:
    """Atlas column and row, in vertices, of a pixel that sees the quad of this row of the table.

    s = row[0] x + row[1] y + row[2] - row[3] s t, likewise t: two fixed-point steps; both lie in +-1/2.
    """
    s0 = row[0] * np.float32(x) + row[1] * np.float32(y) + row[2]
    t0 = row[4] * np.float32(x) + row[5] * np.float32(y) + row[6]
    s, t = clip(s0, -HALF, HALF), clip(t0, -HALF, HALF)
    for _ in range(2):
        product = s * t
        s = clip(s0 - row[3] * product, -HALF, HALF)
        t = clip(t0 - row[7] * product, -HALF, HALF)
    return s + row[8], t + row[9]


def spread(layout: MeshLayout, part: Part) -> Array:
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


def texel_window(layout: MeshLayout, name: str) -> tuple[slice, slice]:
    """The texels of a part in the atlas texture."""
    row, column, rows, columns = layout.slots[name]
    return slice(row * TEXELS, (row + rows) * TEXELS), slice(column * TEXELS, (column + columns) * TEXELS)
