"""Backgrounds: gradients, bokeh, simple interiors and landscapes, painted once per identity."""

from __future__ import annotations

import cv2
import numpy as np

from emojibench.synth.compiled import Image
from emojibench.synth.identity import Identity
from emojibench.synth.mesh import Array, smoothstep
from emojibench.synth.texture import mix, rgb


def paint_background(identity: Identity, size: int) -> Image:
    """The picture behind the subject, uint8 (size, size, 3)."""
    v, u = np.mgrid[0:size, 0:size] / (size - 1.0)
    rng = np.random.Generator(np.random.PCG64([identity.seed, 31]))
    a, b, c = (rgb(k) for k in identity.background_colours)
    painter = {
        "gradient": _gradient, "bokeh": _bokeh, "studio": _studio, "room": _room, "window": _window,
        "stripes": _stripes, "landscape": _landscape, "night": _night,
    }[identity.background]  # fmt: skip
    picture = np.round(np.clip(painter(u, v, a, b, c, rng), 0, 255)).astype(np.uint8)
    if identity.domain == "cartoon":
        return picture
    blur = size / 512 * (7.0 if identity.background in ("room", "window", "landscape") else 2.0)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), dtype=np.uint8)


def _plain(a: Array, u: Array) -> Array:
    return np.broadcast_to(a, (*u.shape, 3)).copy()


def _gradient(u: Array, v: Array, a: Array, b: Array, c: Array, rng: np.random.Generator) -> Array:
    angle = rng.uniform(0, 2 * np.pi)
    t = 0.5 + 0.7 * ((u - 0.5) * np.cos(angle) + (v - 0.5) * np.sin(angle))
    return mix(_plain(a, u), c, np.clip(t, 0, 1))


def _studio(u: Array, v: Array, a: Array, b: Array, c: Array, rng: np.random.Generator) -> Array:
    x, y = rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.5)
    spot = np.exp(-((u - x) ** 2 + (v - y) ** 2) / 0.14)
    return mix(_plain(a * 0.45, u), np.minimum(a * 1.15 + 20, 255), spot)


def _bokeh(u: Array, v: Array, a: Array, b: Array, c: Array, rng: np.random.Generator) -> Array:
    out = mix(_plain(a * 0.4, u), b * 0.6, v)
    for _ in range(26):
        x, y, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.03, 0.1)
        disc = smoothstep(r, r * 0.86, np.hypot(u - x, v - y))
        out = mix(
            out, np.minimum((c if rng.random() < 0.5 else b) * 1.3 + 30, 255), disc * rng.uniform(0.2, 0.6)
        )
    return out


def _stripes(u: Array, v: Array, a: Array, b: Array, c: Array, rng: np.random.Generator) -> Array:
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.08, 0.2)
    wave = np.sin(2 * np.pi * (u * np.cos(angle) + v * np.sin(angle)) / period)
    return mix(_plain(a, u), a * 0.8, smoothstep(-0.1, 0.1, wave))


def _box(out: Array, u: Array, v: Array, box: tuple[float, float, float, float], colour: Array) -> Array:
    x0, y0, x1, y1 = box
    soft = 0.004
    inside = smoothstep(-soft, soft, np.minimum(np.minimum(u - x0, x1 - u), np.minimum(v - y0, y1 - v)))
    return mix(out, colour, inside)


def _room(u: Array, v: Array, a: Array, b: Array, c: Array, rng: np.random.Generator) -> Array:
    out = mix(_plain(a, u), a * 0.75, u if rng.random() < 0.5 else 1 - u)
    x = rng.uniform(-0.1, 0.1)
    for shelf in (0.22, 0.48, 0.74):
        out = _box(out, u, v, (-0.1, shelf, 1.1, shelf + 0.025), a * 0.5)
        left = x
        while left < 1.0:
            wide, tall = rng.uniform(0.025, 0.06), rng.uniform(0.08, 0.17)
            if rng.random() < 0.75:
                tint = (b, c, a * 0.6, b * 0.6, c * 0.7)[int(rng.integers(5))]
                out = _box(out, u, v, (left, shelf - tall, left + wide, shelf), tint)
            left += wide + 0.006
    return out


def _window(u: Array, v: Array, a: Array, b: Array, c: Array, rng: np.random.Generator) -> Array:
    out = _plain(a * 0.7, u)
    x = rng.uniform(-0.15, 0.25)
    sky = np.array([196.0, 220.0, 240.0])
    out = _box(out, u, v, (x, 0.05, x + 0.75, 0.8), np.array([240.0, 238.0, 232.0]))
    for i in range(2):
        for j in range(2):
            left, top = x + 0.03 + 0.36 * i, 0.08 + 0.36 * j
            out = _box(out, u, v, (left, top, left + 0.33, top + 0.33), sky - 30.0 * j + 0.15 * (b - 128))
    return out


def _landscape(u: Array, v: Array, a: Array, b: Array, c: Array, rng: np.random.Generator) -> Array:
    out = mix(
        _plain(np.array([120.0, 170.0, 220.0]) * 0.7 + a * 0.3, u),
        np.array([244.0, 226.0, 200.0]),
        np.clip(v * 1.5, 0, 1),
    )
    for i in range(3):
        phase, k = rng.uniform(0, 6.28), rng.uniform(4, 9)
        ridge = 0.42 + 0.15 * i + 0.05 * np.sin(k * u + phase) + 0.02 * np.sin(3.1 * k * u + 2 * phase)
        out = mix(
            out,
            (np.array([70.0, 120.0, 80.0]) * 0.6 + b * 0.4) * (1.0 - 0.18 * i),
            smoothstep(-0.006, 0.006, v - ridge),
        )
    return out


def _night(u: Array, v: Array, a: Array, b: Array, c: Array, rng: np.random.Generator) -> Array:
    out = mix(_plain(np.array([24.0, 26.0, 52.0]), u), a * 0.5, v)
    left = -0.05
    while left < 1.0:
        wide, top = rng.uniform(0.08, 0.18), rng.uniform(0.25, 0.65)
        out = _box(out, u, v, (left, top, left + wide, 1.1), np.array([20.0, 20.0, 34.0]) + 0.1 * b)
        for _ in range(9):
            x, y = left + rng.uniform(0.01, wide - 0.02), rng.uniform(top + 0.03, 0.95)
            out = _box(
                out, u, v, (x, y, x + 0.014, y + 0.02), np.array([255.0, 214.0, 120.0]) * 0.7 + c * 0.3
            )
        left += wide + rng.uniform(0.0, 0.03)
    return out
