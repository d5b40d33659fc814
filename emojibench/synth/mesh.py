"""The mesh: parametric surfaces for head, hair, ears, neck, clothes and glasses.

Units: the half height of a head is about 1. x runs to the right of the picture, y up, z towards the viewer; the
origin lies between the ears. Every surface is a grid of vertices, rows running down and columns to the right as seen
from in front, so that outward faces have one orientation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emojibench.synth.identity import Identity

Array = NDArray[np.float64]

EYE_X, EYE_Y, MOUTH_Y = 0.29, 0.05, -0.545
JAW_DROP = 0.24
"""How far the jaw drops with the mouth wide open."""
JAW_TOP, JAW_FULL = MOUTH_Y + 0.01, -0.66
"""Heights between which the skin goes from staying put to following the jaw."""

# Hairline height at these azimuths (degrees from the front), per style.
_AZIMUTHS = (0.0, 30.0, 48.0, 62.0, 78.0, 100.0, 125.0, 180.0)
_HAIRLINES: dict[str, tuple[float, ...]] = {
    "short": (0.62, 0.62, 0.50, 0.24, 0.10, 0.20, -0.30, -0.55),
    "buzz": (0.62, 0.63, 0.54, 0.30, 0.12, 0.20, -0.30, -0.50),
    "side_part": (0.60, 0.56, 0.44, 0.20, 0.08, 0.20, -0.30, -0.55),
    "fringe": (0.34, 0.34, 0.30, 0.18, 0.08, 0.20, -0.35, -0.6),
    "receding": (0.76, 0.82, 0.66, 0.30, 0.10, 0.20, -0.30, -0.55),
    "afro": (0.58, 0.56, 0.44, 0.18, -0.10, -0.25, -0.6, -0.7),
    "curly": (0.54, 0.52, 0.40, 0.14, -0.12, -0.25, -0.6, -0.7),
    "long": (0.63, 0.58, 0.40, 0.05, -0.35, -0.6, -0.8, -0.8),
    "long_fringe": (0.33, 0.32, 0.26, 0.02, -0.35, -0.6, -0.8, -0.8),
    "bob": (0.58, 0.52, 0.34, 0.0, -0.40, -0.62, -0.8, -0.8),
    "mohawk": (0.62, 0.66, 0.60, 0.34, 0.12, 0.20, -0.30, -0.50),
    "slick": (0.68, 0.66, 0.50, 0.24, 0.10, 0.20, -0.30, -0.55),
    "beanie": (0.44, 0.42, 0.38, 0.33, 0.24, 0.14, -0.05, -0.15),
}
_LIKE = {"bun": "slick", "pigtails": "slick"}
_THICKNESS = {
    "short": 0.11, "buzz": 0.025, "side_part": 0.14, "fringe": 0.12, "receding": 0.06, "afro": 0.40, "curly": 0.22,
    "long": 0.12, "long_fringe": 0.12, "bob": 0.14, "mohawk": 0.05, "slick": 0.06, "bun": 0.06, "pigtails": 0.07,
    "beanie": 0.14,
}  # fmt: skip


def smoothstep(low: float | Array, high: float | Array, x: Array) -> Array:
    """0 below `low`, 1 above `high`, 3u^2 - 2u^3 between; `low` > `high` falls instead of rising."""
    u = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(u * u * (3.0 - 2.0 * u))


def bump(x: Array, y: Array, cx: float, cy: float, sx: float, sy: float) -> Array:
    """A Gaussian hill of height 1."""
    return np.asarray(np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2))


@dataclass(frozen=True, eq=False)
class Part:
    """One surface."""

    name: str
    points: Array
    """float64 (rows, columns, 3), neutral pose."""
    closed: bool = False
    """The last column repeats the first."""
    two_sided: bool = False
    gloss: float = 0.0
    bias: float = 0.0
    """Added to the depth when surfaces are sorted: positive draws it over what it touches."""
    outlined: bool = True
    """Whether a drawn outline separates it from the head."""
    head: Array | None = None
    """float64 (rows, columns): how much of the head's turn each vertex follows; None for all of it."""
    template: Array | None = None
    """float64 (rows, columns, 3): canonical positions for painting; None for `points`."""

    @property
    def canonical(self) -> Array:
        """Where each vertex lies as far as paint is concerned."""
        return self.points if self.template is None else self.template


def hairline(identity: Identity, azimuth: Array) -> Array:
    """Height (y) of the hairline at an azimuth in radians; 9 (no hair) for the bald and for animals."""
    if identity.domain == "animal" or identity.hair_style == "bald":
        return np.full(azimuth.shape, 9.0)
    style = _LIKE.get(identity.hair_style, identity.hair_style)
    return np.asarray(np.interp(np.degrees(np.abs(azimuth)), _AZIMUTHS, _HAIRLINES[style]))


def _head_grid() -> tuple[Array, Array]:
    """Azimuth and elevation of the head's vertices, dense where the face is."""
    front = np.radians(np.linspace(-66.0, 66.0, 41))
    side = np.radians(np.linspace(66.0, 180.0, 11)[1:])
    theta = np.concatenate([-side[::-1], front, side])
    phi = np.radians(
        np.concatenate([np.linspace(90, 24, 11)[:-1], np.linspace(24, -44, 29), np.linspace(-44, -90, 8)[1:]])
    )
    columns, rows = np.meshgrid(theta, phi)
    return columns, rows


def head_part(identity: Identity) -> Part:
    """Skull, face and hair volume as one surface."""
    theta, phi = _head_grid()
    f = identity
    d = np.stack([np.sin(theta) * np.cos(phi), np.sin(phi), np.cos(theta) * np.cos(phi)], axis=-1)
    ax = 0.735 * f.face_width
    ay = np.where(d[..., 1] > 0, 1.0, 0.97 * f.face_length)
    az = np.where(d[..., 2] > 0, 0.84, 0.97)
    n = 2.25
    radius = (
        (np.abs(d[..., 0]) / ax) ** n + (np.abs(d[..., 1]) / ay) ** n + (np.abs(d[..., 2]) / az) ** n
    ) ** (-1 / n)
    p = d * radius[..., None]
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    front = smoothstep(0.0, 0.45, z)
    low = np.clip((0.1 - y) / 1.05, 0.0, 1.0)
    x = x * (1.0 - (0.26 - 0.2 * f.jaw) * low**1.5 + 0.10 * f.jaw * bump(y, y, -0.62, -0.62, 0.3, 0.3))
    z = z + front * (0.30 + 0.05 * f.chin) * smoothstep(-0.2, -0.9, y) * np.exp(-((x / 0.5) ** 2))
    y = y - front * 0.05 * (f.chin - 0.5) * smoothstep(-0.5, -0.95, y)
    template = np.stack([x, y, z], axis=-1)
    z = z + front * _face_relief(f, x, y)
    if f.domain == "animal":
        cheek = bump(np.abs(x), y, 0.62, -0.35, 0.25, 0.3)
        x = x * (1.0 + 0.16 * cheek)
    lift = _hair_lift(f, np.stack([x, y, z], axis=-1))
    points = np.stack([x, y, z], axis=-1) + lift[..., None] * d
    return Part("head", points, closed=True, gloss=0.3, template=template)


def _face_relief(f: Identity, x: Array, y: Array) -> Array:
    """How far the face stands out of the plain skull, as a function of the frontal position."""
    side = np.abs(x)
    ex, cartoon, animal = EYE_X * f.eye_spacing, f.domain == "cartoon", f.domain == "animal"
    out = (0.03 + 0.05 * f.brow_ridge) * bump(side, y, 0.24, 0.21, 0.24, 0.07)
    out -= (0.075 if cartoon or animal else 0.10) * bump(side, y, ex, EYE_Y, 0.19, 0.12)
    out += (0.03 if cartoon or animal else 0.05) * bump(side, y, ex, EYE_Y, 0.13, 0.08)
    out += 0.06 * f.cheeks * bump(side, y, 0.42, -0.15, 0.18, 0.16)
    out -= 0.05 * (1 - f.cheeks) * bump(side, y, 0.46, -0.42, 0.16, 0.16)
    out += 0.06 * bump(side, y, 0.0, -0.54, 0.30, 0.16)
    out += f.lips * (
        0.04 * bump(side, y, 0.0, -0.49, 0.2, 0.045) + 0.045 * bump(side, y, 0.0, -0.605, 0.17, 0.05)
    )
    out += 0.08 * bump(side, y, 0.0, -0.83, 0.17, 0.1) - 0.035 * bump(side, y, 0.0, -0.70, 0.2, 0.05)
    tip = -0.25 * f.nose_length
    if animal:
        reach = {"cat": 0.19, "dog": 0.27, "bear": 0.26, "fox": 0.28, "rabbit": 0.19, "monkey": 0.18}[f.kind]
        out += reach * np.exp(-(((x / 0.30) ** 2 + ((y + 0.42) / 0.26) ** 2) ** 1.3))
        out += 0.10 * bump(side, y, 0.0, tip, 0.13, 0.09)
        return out
    t = np.clip((0.2 - y) / (0.2 - tip), 0.0, 1.4)
    height = f.nose_height * (0.05 + 0.20 * t**1.4) * (0.8 if cartoon else 1.0)
    width = (0.062 + 0.05 * t**2) * (0.75 + 0.25 * f.nose_width)
    height = height * smoothstep(0.26, 0.1, y) * smoothstep(tip - 0.15, tip + 0.02, y)
    out += height * np.exp(-((np.abs(x) / width) ** 2.2))
    out += 0.10 * bump(side, y, 0.10 * f.nose_width, tip - 0.03, 0.055 * f.nose_width, 0.05)
    return out


def _hair_lift(f: Identity, p: Array) -> Array:
    """How far the hair lifts the surface off the skull."""
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    azimuth = np.arctan2(x, z)
    over = y - hairline(f, azimuth)
    style = f.hair_style
    lift = _THICKNESS.get(style, 0.0) * f.hair_volume * smoothstep(0.0, 0.12, over)
    if style in ("afro", "curly"):
        k = 15.0 if style == "curly" else 9.0
        lift = lift * (1.0 + 0.16 * np.sin(k * x + 1) * np.sin(k * y + f.seed % 7) + 0.12 * np.sin(k * z + 2))
    if style == "side_part":
        lift = lift * (1.0 + 0.5 * np.tanh(6.0 * (x - 0.25)) * smoothstep(0.3, 0.8, y))
    if style == "mohawk":
        lift = lift + 0.42 * f.hair_volume * np.exp(-((x / 0.15) ** 2)) * smoothstep(
            0.0, 0.25, over
        ) * smoothstep(-0.3, 0.3, y)
    if style in ("short", "fringe", "bob", "long", "long_fringe", "slick", "bun", "pigtails"):
        lift = lift * (
            1.0 + 0.12 * np.sin(9.0 * azimuth + f.seed % 5) + 0.08 * np.sin(17.0 * azimuth + f.seed % 3)
        )
    if f.domain == "animal":
        lift = 0.05 + 0.012 * np.sin(13 * x + 3 * y) * np.sin(11 * y + 2 * z)
        lift = lift * smoothstep(0.5, 0.75, np.abs(x)) + 0.04 * smoothstep(0.5, 0.9, y)
    return np.asarray(lift)


def _ellipsoid(centre: Array, axes: Array, rows: int = 7, columns: int = 11) -> Array:
    """A closed ellipsoid; `axes` (3, 3) are the half-axes to the right, up and forward."""
    theta, phi = np.meshgrid(np.linspace(-np.pi, np.pi, columns), np.linspace(np.pi / 2, -np.pi / 2, rows))
    local = np.stack([np.sin(theta) * np.cos(phi), np.sin(phi), np.cos(theta) * np.cos(phi)], axis=-1)
    return np.asarray(centre + np.einsum("ijk,kl->ijl", local, axes))


def _tube(rings: list[tuple[float, float, float, float]], columns: int, power: float = 2.0) -> Array:
    """Rings (y, half width, half depth, centre z) joined into a surface."""
    t = np.linspace(-np.pi, np.pi, columns)
    s, c = np.sin(t), np.cos(t)
    s, c = np.sign(s) * np.abs(s) ** (2 / power), np.sign(c) * np.abs(c) ** (2 / power)
    return np.stack(
        [np.stack([rx * s, np.full(columns, y), rz * c + cz], axis=-1) for y, rx, rz, cz in rings]
    )


def _ears(f: Identity) -> list[Part]:
    parts = []
    for side, name in ((1.0, "ear_left"), (-1.0, "ear_right")):
        e = f.ear_size
        if f.domain != "animal" or f.kind == "monkey":
            grow = 1.35 if f.kind == "monkey" else 1.0
            out = np.array([side * 0.89, 0.0, 0.45])
            up = np.array([side * 0.08, 1.0, -0.1])
            axes = np.stack(
                [0.13 * e * grow * np.cross(up, out), 0.22 * e * min(grow, 1.15) * up, 0.045 * out]
            )
            points = _ellipsoid(np.array([side * (0.735 * f.face_width + 0.02), -0.06, -0.12]), axes)
        elif f.kind in ("cat", "fox"):
            tall = (0.5 if f.kind == "cat" else 0.62) * e
            points = _cone(
                np.array([side * 0.44, 0.66, -0.05]), 0.27, 0.10, np.array([side * 0.2, tall, 0.0])
            )
        elif f.kind == "rabbit":
            axes = np.array([[0.15, side * -0.03, 0.0], [side * 0.12, 0.55 * e, -0.05], [0.0, 0.0, 0.07]])
            points = _ellipsoid(np.array([side * 0.34, 1.22, -0.1]), axes)
        elif f.kind == "bear":
            axes = np.array([[0.22, 0.0, -side * 0.05], [0.0, 0.22, 0.0], [0.0, 0.0, 0.09]]) * e
            points = _ellipsoid(np.array([side * 0.55, 0.76, -0.1]), axes)
        else:
            axes = np.array([[0.17, 0.0, -side * 0.05], [side * -0.16, 0.42 * e, 0.0], [0.0, 0.0, 0.09]])
            points = _ellipsoid(np.array([side * 0.76, 0.22, 0.02]), axes)
        parts.append(Part(name, points, closed=True, gloss=0.15))
    return parts


def _cone(base: Array, width: float, depth: float, tip: Array) -> Array:
    """A pointed ear with rounded sides."""
    t = np.linspace(-np.pi, np.pi, 11)
    rows = []
    for u in np.linspace(1.0, 0.0, 7):
        w = (1.0 - u**1.3) ** 0.9
        rows.append(base + u * tip + np.stack([width * w * np.sin(t), 0 * t, depth * w * np.cos(t)], axis=-1))
    return np.stack(rows)


def _hair_parts(f: Identity) -> list[Part]:
    parts: list[Part] = []
    style, v = f.hair_style, f.hair_volume
    if f.domain == "animal":
        return parts
    if style in ("long", "long_fringe", "bob"):
        # Begins inside the hair of the head, which tapers towards the jaw, and so comes out of it below the ears.
        length = 0.75 if style == "bob" else 1.35
        t = np.radians(np.linspace(78.0, 282.0, 27))
        rows = []
        for u in np.linspace(0.0, 1.0, 9):
            out = (0.03 + (0.11 + 0.05 * v) * min(u / 0.5, 1.0)) * v - 0.10 * max(u - 0.5, 0.0)
            wave = 1.0 + 0.02 * np.sin(8.0 * t + 5.0 * u + f.seed % 5)
            y = 0.10 - length * u + 0.05 * np.sin(11.0 * t + f.seed % 4) * u
            wide, deep = 0.72 * f.face_width + out, 0.90 + out
            rows.append(np.stack([wide * wave * np.sin(t), y, deep * wave * np.cos(t)], axis=-1))
        parts.append(Part("curtain", np.stack(rows), two_sided=True, gloss=0.4, outlined=False))
    if style == "bun":
        parts.append(
            Part(
                "bun",
                _ellipsoid(np.array([0.0, 1.13, -0.25]), np.diag([0.34, 0.28, 0.32]) * v),
                True,
                gloss=0.4,
            )
        )
    if style == "pigtails":
        for side in (1.0, -1.0):
            axes = np.array([[0.22, 0.0, 0.0], [side * -0.14, 0.48, 0.0], [0.0, 0.0, 0.22]]) * v
            parts.append(
                Part(
                    f"tail{side:+.0f}", _ellipsoid(np.array([side * 1.0, -0.05, -0.3]), axes), True, gloss=0.4
                )
            )
    if style == "beanie":
        parts.append(
            Part("pompon", _ellipsoid(np.array([0.0, 1.2, -0.12]), np.diag([0.17, 0.16, 0.17])), True)
        )
    return parts


def _body_parts(f: Identity) -> list[Part]:
    thick = (0.34 + 0.07 * f.jaw) * (1.35 if f.domain == "animal" else 0.82 if f.domain == "cartoon" else 1.0)
    # Begins inside the skull, so that no turn of the head opens a gap.
    ys = np.linspace(-0.35, -1.45, 8)
    neck = _tube([(y, thick * (1 + 0.08 * u**3), thick * 0.95 * (1 + 0.08 * u**3), -0.16 - 0.08 * u)
                  for y, u in zip(ys, np.linspace(0, 1, 8), strict=True)], 25)  # fmt: skip
    follow = np.repeat(np.array([1.0, 1.0, 0.92, 0.75, 0.5, 0.25, 0.08, 0.0])[:, None], 25, axis=1)
    b = 1.0 + 0.18 * (f.jaw - 0.5) - (0.12 if f.domain == "cartoon" else 0.0)
    rings = [(-1.24, thick * 1.2, thick * 1.2, -0.21), (-1.31, thick * 1.38, thick * 1.3, -0.22),
             (-1.36, 0.72 * b, 0.46, -0.22),
             (-1.46, 1.02 * b, 0.5, -0.22), (-1.62, 1.24 * b, 0.54, -0.22), (-1.85, 1.36 * b, 0.58, -0.2),
             (-2.2, 1.40 * b, 0.62, -0.2), (-2.9, 1.42 * b, 0.64, -0.2)]  # fmt: skip
    torso = _tube(rings, 31, 2.3)
    return [
        Part("neck", neck, closed=True, gloss=0.1, head=follow),
        Part("torso", torso, closed=True, head=np.zeros(torso.shape[:2])),
    ]


def _glasses_parts(f: Identity, head: Part) -> list[Part]:
    if f.glasses == "none":
        return []
    parts: list[Part] = []
    ex, thick = EYE_X * f.eye_spacing, 0.03
    wide, high, power = {
        "round": (0.215, 0.20, 2.0),
        "square": (0.23, 0.165, 4.5),
        "oval": (0.23, 0.15, 2.4),
    }[f.glasses]
    grow = 1.14 if f.domain == "cartoon" else 1.0
    nose = head.points[(np.abs(head.points[..., 0]) < 0.05) & (np.abs(head.points[..., 1] - EYE_Y) < 0.1)]
    depth = max(float(nose[:, 2].max()) - 0.0, 0.86)
    t = np.linspace(-np.pi, np.pi, 29)
    s, c = np.sin(t), np.cos(t)
    s, c = np.sign(s) * np.abs(s) ** (2 / power), np.sign(c) * np.abs(c) ** (2 / power)
    for side in (1.0, -1.0):
        rings = []
        for extra in (thick / 2, -thick / 2):
            x = side * ex + (wide * grow + extra) * s
            y = EYE_Y - 0.015 + (high * grow + extra) * c
            rings.append(np.stack([x, y, depth - 0.35 * np.maximum(np.abs(x) - 0.2, 0.0) ** 1.5], axis=-1))
        parts.append(
            Part(f"rim{side:+.0f}", np.stack(rings), two_sided=True, gloss=0.8, bias=0.03, outlined=False)
        )
        outer = ex + wide * grow
        z = np.linspace(depth - 0.35 * (outer - 0.2) ** 1.5, -0.1, 6)
        x = np.linspace(outer, max(outer + 0.02, 0.745 * f.face_width + 0.03), 6)
        arm = np.stack([np.stack([side * x, np.full(6, EYE_Y + dy), z], axis=-1) for dy in (0.055, 0.02)])
        parts.append(Part(f"arm{side:+.0f}", arm, two_sided=True, gloss=0.8, bias=0.03, outlined=False))
    x = np.linspace(-(ex - wide * grow), ex - wide * grow, 6)
    rise = 0.025 * (1 - (x / x[-1]) ** 2)
    bridge = np.stack(
        [np.stack([x, EYE_Y + 0.03 + rise + dy, np.full(6, depth + 0.02)], axis=-1) for dy in (0.03, 0.0)]
    )
    parts.append(Part("bridge", bridge, two_sided=True, gloss=0.8, bias=0.03, outlined=False))
    return parts


def build_parts(identity: Identity) -> list[Part]:
    """All surfaces of an identity, the head first."""
    head = head_part(identity)
    return [
        head,
        *_ears(identity),
        *_hair_parts(identity),
        *_body_parts(identity),
        *_glasses_parts(identity, head),
    ]


def expression_basis(identity: Identity, head: Part) -> dict[str, Array]:
    """Displacement of the head's vertices, (rows, columns, 3), at strength 1 of each parameter that moves the skin."""
    x, y = head.canonical[..., 0], head.canonical[..., 1]
    front = smoothstep(0.0, 0.4, head.canonical[..., 2])
    mx, zero = 0.25 * identity.mouth_width, np.zeros_like(x)
    jaw = front * smoothstep(JAW_TOP, JAW_FULL, y) * smoothstep(0.75, 0.35, np.abs(x))

    def field(dx: Array, dy: Array, dz: Array) -> Array:
        return np.stack([dx, dy, dz], axis=-1)

    basis = {
        "mouth_open": field(zero, -JAW_DROP * jaw, -0.05 * jaw),
        "jaw_side": field(0.10 * jaw + 0.03 * front * bump(x, y, 0, MOUTH_Y, 0.25, 0.12), zero, zero),
        "mouth_wide": field(0.30 * x * front * bump(x, y, 0, MOUTH_Y, 0.36, 0.14), zero, zero),
        "pucker": field(-0.62 * x * front * bump(x, y, 0, MOUTH_Y, 0.26, 0.13), zero,
                        0.12 * front * bump(x, y, 0, MOUTH_Y, 0.16, 0.12)),
        "cheek_puff": field(0.10 * np.sign(x) * front * bump(np.abs(x), y, 0.5, -0.42, 0.22, 0.2), zero,
                            0.10 * front * bump(np.abs(x), y, 0.4, -0.45, 0.18, 0.18)),
    }  # fmt: skip
    for name, s in (("left", 1.0), ("right", -1.0)):
        corner = front * bump(x, y, s * mx, MOUTH_Y, 0.13, 0.12)
        cheek = front * bump(x, y, s * 0.38, -0.20, 0.16, 0.14)
        basis[f"smile_{name}"] = field(
            0.045 * s * corner, 0.115 * corner + 0.035 * cheek, -0.01 * corner + 0.05 * cheek
        )
        inner = front * bump(x, y, s * 0.15, 0.25, 0.12, 0.11)
        outer = front * bump(x, y, s * 0.38, 0.25, 0.15, 0.12)
        basis[f"brow_inner_{name}"] = field(0.01 * s * inner, 0.11 * inner, 0.01 * inner)
        basis[f"brow_outer_{name}"] = field(zero, 0.11 * outer, zero)
    return basis
