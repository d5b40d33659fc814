"""What is painted on the surfaces once per identity: skin, fur, stone, hair, lips, brows, cloth.

Every painter gets the canonical position of each texel, float64 (h, w, 3), and returns colours, float64 (h, w, 3),
0 to 255. The parts that move by paint (eyes, lips' opening) are in `features`.
"""

from __future__ import annotations

import cv2
import numpy as np

from emojibench.synth.compiled import Image
from emojibench.synth.identity import RGB, Identity
from emojibench.synth.mesh import EYE_X, EYE_Y, MOUTH_Y, Array, Part, bump, hairline, smoothstep
from emojibench.synth.raster import TEXELS, MeshLayout, spread, texel_window

WHITE = np.array([255.0, 255.0, 255.0])


def rgb(colour: RGB) -> Array:
    """A colour as float64 (3,)."""
    return np.array(colour, dtype=np.float64)


def mix(a: Array, b: Array, weight: Array) -> Array:
    """From a to b by weight (h, w)."""
    return np.asarray(a + (b - a) * weight[..., None])


def waves(p: Array, seed: int, scale: float, octaves: int = 3) -> Array:
    """Smooth seamless noise of about unit size: plane waves in random directions."""
    rng = np.random.Generator(np.random.PCG64(seed))
    out = np.zeros(p.shape[:2])
    for octave in range(octaves):
        for _ in range(5):
            k = rng.normal(size=3) * scale * 1.9**octave
            phase = rng.uniform(0, 2 * np.pi)
            out += np.sin(p[..., 0] * k[0] + p[..., 1] * k[1] + p[..., 2] * k[2] + phase) * 0.6**octave
    return out / 3.0


def streaks(shape: tuple[int, ...], seed: int, length: float, width: float = 0.9) -> Array:
    """Strands running down the rows of `shape` (rows, columns), of about unit size."""
    rng = np.random.Generator(np.random.PCG64(seed))
    noise = rng.normal(size=shape)
    ys = np.arange(-int(3 * length), int(3 * length) + 1)
    xs = np.arange(-int(3 * width) - 1, int(3 * width) + 2)
    ky, kx = np.exp(-((ys / length) ** 2) / 2), np.exp(-((xs / width) ** 2) / 2)
    out = cv2.sepFilter2D(noise, cv2.CV_64F, kx / kx.sum(), ky / ky.sum(), borderType=cv2.BORDER_REFLECT)
    return np.asarray(out / max(float(out.std()), 1e-9))


def paint(identity: Identity, layout: MeshLayout, parts: list[Part]) -> Image:
    """The whole atlas texture, uint8 (rows, columns, 3)."""
    shape = (layout.shape[0], layout.shape[1])
    atlas = np.zeros((shape[0] * TEXELS, shape[1] * TEXELS, 3), np.uint8)
    for part in parts:
        p = spread(layout, part)
        if part.name == "head":
            colour = animal_head(identity, p) if identity.domain == "animal" else human_head(identity, p)
        elif part.name == "torso":
            colour = cloth(identity, p)
        elif part.name == "neck":
            colour = neck(identity, p)
        elif part.name.startswith("ear"):
            colour = ear(identity, p)
        elif part.name.startswith(("rim", "arm", "bridge")):
            colour = np.broadcast_to(rgb(identity.glasses_colour), p.shape)
        elif part.name == "pompon":
            colour = knit(identity, p) * 1.1
        else:
            colour = hair(identity, p)
        if identity.domain == "sculpture":
            colour = stone(identity, p, colour)
        atlas[texel_window(layout, part.name)] = np.clip(np.round(colour), 0, 255).astype(np.uint8)
    return atlas


def skin(f: Identity, p: Array) -> Array:
    """Plain skin with its slow and fast variation."""
    base = rgb(f.skin)
    rough = 0.35 if f.domain == "cartoon" else 1.0
    tone = 1.0 + rough * (0.025 * waves(p, f.seed + 1, 3.0) + 0.018 * waves(p, f.seed + 2, 22.0, 2))
    return np.asarray(base * tone[..., None])


def hair(f: Identity, p: Array) -> Array:
    """Strands of hair flowing down the rows."""
    strand = streaks(p.shape[:2], f.seed + 3, 3.0 if f.hair_style in ("afro", "curly") else 16.0)
    clump = streaks(p.shape[:2], f.seed + 4, 20.0, 4.0)
    base = rgb(f.hair)
    if f.domain == "cartoon":
        tone = 1.0 + 0.13 * np.tanh(2.5 * clump)
    else:
        tone = 1.0 + 0.17 * strand + 0.13 * clump
        if f.hair_style in ("afro", "curly"):
            tone = tone + 0.14 * waves(p, f.seed + 5, 16.0, 2)
    lift = 14.0 if f.domain != "sculpture" else 0.0
    return np.asarray(np.maximum(base * tone[..., None] + lift * np.maximum(strand, 0)[..., None] * 0.5, 4.0))


def knit(f: Identity, p: Array) -> Array:
    """A knitted cap."""
    azimuth = np.arctan2(p[..., 0], p[..., 2])
    rib = 0.5 + 0.5 * np.sin(azimuth * 40.0)
    return np.asarray(rgb(f.cloth_accent) * (0.82 + 0.22 * rib)[..., None])


def human_head(f: Identity, p: Array) -> Array:
    """Face and scalp of people and sculptures."""
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    side, front = np.abs(x), smoothstep(0.0, 0.3, z)
    base, cartoon = rgb(f.skin), f.domain == "cartoon"
    ex, tip = EYE_X * f.eye_spacing, -0.25 * f.nose_length
    colour = skin(f, p)
    red = base * np.array([1.0, 0.72, 0.68])
    rosy = 0.30 * bump(side, y, 0.42, -0.20, 0.17, 0.13) + 0.22 * bump(side, y, 0.0, tip, 0.13, 0.1)
    colour = mix(
        colour, red, front * np.clip(rosy * (1.0 + 1.2 * f.makeup), 0, 0.75) * (1.3 if cartoon else 1.0)
    )
    depth = 0.12 * bump(side, y, ex - 0.05, EYE_Y + 0.05, 0.15, 0.09) + 0.07 * bump(
        side, y, ex, EYE_Y - 0.11, 0.12, 0.05
    )
    depth += 0.14 * bump(side, y, 0.0, -0.675, 0.15, 0.035) + 0.12 * bump(
        side, y, 0.0, tip - 0.11, 0.11, 0.035
    )
    depth += 0.10 * bump(side, y, 0.13, tip + 0.12, 0.05, 0.14) + 0.25 * smoothstep(-0.82, -1.0, y) * front
    fold = np.abs(side - (0.15 + 0.16 * np.clip((tip - y) / 0.30, 0, 1)))
    depth += (
        (0.03 + 0.2 * f.wrinkles)
        * np.exp(-((fold / 0.022) ** 2))
        * smoothstep(tip, tip - 0.08, y)
        * smoothstep(-0.56, -0.48, y)
    )
    lines = np.exp(-(((np.sin(y * 58.0 + 6 * x * x)) / 0.22) ** 2)) * bump(side, y, 0.0, 0.46, 0.34, 0.10)
    depth += 0.16 * f.wrinkles * lines
    depth += (
        0.2
        * f.wrinkles
        * np.exp(-(((y - EYE_Y + 0.135 - 1.2 * (side - ex) ** 2) / 0.014) ** 2))
        * smoothstep(0.17, 0.1, np.abs(side - ex))
    )
    colour = colour * (1.0 - front * np.clip(depth * (0.5 if cartoon else 1.0), 0, 0.6))[..., None]
    nostril = bump(side, y, 0.062 * f.nose_width, tip - 0.062, 0.03, 0.018) * (0.7 if cartoon else 1.0)
    colour = mix(colour, base * np.array([0.34, 0.26, 0.25]), front * np.clip(nostril, 0, 0.7))
    if f.freckles:
        dots = waves(p, f.seed + 6, 60.0, 1) - 0.55
        where = bump(side, y, 0.25, -0.12, 0.32, 0.16) * front
        colour = mix(
            colour, base * np.array([0.66, 0.52, 0.44]), np.clip(dots * 4, 0, 0.8) * where * f.freckles
        )
    if f.makeup:
        shadow = bump(side, y, ex + 0.02, EYE_Y + 0.10, 0.15, 0.05)
        tint = rgb(f.background_colours[2]) * 0.6 + np.array([60.0, 20.0, 50.0])
        colour = mix(colour, tint, front * np.clip(0.7 * f.makeup * shadow, 0, 0.6))
    colour = _beard(f, p, colour)
    colour = _lips(f, p, colour)
    colour = _brows(f, p, colour)
    return _scalp(f, p, colour)


def _lips(f: Identity, p: Array, colour: Array) -> Array:
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    u = np.abs(x) / (0.25 * f.mouth_width)
    arch = np.clip(1.0 - u**2, 0.0, 1.0)
    above = 0.062 * f.lips * arch**0.8 * (1.0 - 0.22 * np.exp(-((x / 0.045) ** 2)))
    below = 0.082 * f.lips * arch**0.75
    soft = 0.012
    inside = smoothstep(-soft, soft, above - (y - MOUTH_Y)) * smoothstep(-soft, soft, below - (MOUTH_Y - y))
    inside = inside * smoothstep(1.02, 0.92, u) * smoothstep(0.1, 0.3, z)
    lip = rgb(f.lip) * (0.6 if f.domain == "sculpture" else 1.0) * np.where(y > MOUTH_Y, 0.86, 1.0)[..., None]
    if f.domain != "cartoon":
        lip = lip * (1.0 + 0.03 * np.sin(x * 210.0))[..., None]
        lip = lip + 26.0 * bump(x, y, 0.0, MOUTH_Y - 0.045, 0.09, 0.016)[..., None]
    strength = 0.95 if f.makeup or f.domain == "cartoon" else 0.82
    return mix(colour, lip, inside * strength)


def _brows(f: Identity, p: Array, colour: Array) -> Array:
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    side = np.abs(x)
    u = (side - 0.12) / 0.36
    spine = 0.215 + 0.075 * f.brow_arch * np.sin(np.pi * np.clip(u, 0, 1) ** 1.3) - 0.02 * u
    spine = spine + (0.05 if f.domain == "cartoon" else 0.0)
    thick = 0.036 * f.brow_thickness * np.clip(1.15 - 0.75 * u, 0.1, 1.2)
    mask = (
        smoothstep(1.25, 0.55, np.abs(y - spine) / thick)
        * smoothstep(-0.08, 0.08, u)
        * smoothstep(1.08, 0.85, u)
    )
    mask = mask * smoothstep(0.1, 0.3, z)
    if f.domain == "cartoon":
        return mix(colour, rgb(f.hair) * 0.55, np.clip(1.6 * mask, 0, 1))
    grain = 0.75 + 0.25 * np.sin(side * 150.0 + y * 90.0 + 2.0 * np.sin(y * 40))
    dark = np.minimum(rgb(f.hair) * 0.62, rgb(f.skin) * 0.66)
    return mix(colour, dark, 0.92 * mask * grain)


def _beard(f: Identity, p: Array, colour: Array) -> Array:
    if f.beard == "none":
        return colour
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    side, u = np.abs(x), np.abs(x) / (0.25 * f.mouth_width)
    moustache = (
        smoothstep(1.35, 1.0, u)
        * smoothstep(-0.50, -0.47, y + 0.05 * u)
        * smoothstep(-0.36, -0.41, y + 0.04 * u)
    )
    goatee = smoothstep(0.26, 0.18, side) * smoothstep(-0.60, -0.66, y)
    round_mouth = moustache + smoothstep(0.36, 0.30, side) * smoothstep(0.22, 0.27, side) * smoothstep(
        -0.42, -0.48, y
    )
    line = -0.16 - 0.42 * smoothstep(0.68, 0.30, side)
    full = smoothstep(line + 0.03, line - 0.05, y) * smoothstep(-0.25, 0.0, z + 0.25)
    area = {"moustache": moustache, "goatee": goatee + round_mouth, "full": full + moustache,
            "stubble": full + moustache}[f.beard]  # fmt: skip
    grain = streaks(x.shape, f.seed + 8, 5.0)
    shade = rgb(f.hair) * (1.0 + 0.2 * grain)[..., None]
    solid = (0.42 + 0.06 * grain) if f.beard == "stubble" else (0.93 + 0.05 * grain)
    return mix(colour, shade, np.asarray(np.clip(area, 0, 1) * np.clip(solid, 0, 1)))


def _scalp(f: Identity, p: Array, colour: Array) -> Array:
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    azimuth = np.arctan2(x, z)
    line = hairline(f, azimuth)
    strand = streaks(x.shape, f.seed + 7, 9.0, 1.2)
    ragged = {"fringe": 0.05, "long_fringe": 0.05, "buzz": 0.008, "beanie": 0.0}.get(f.hair_style, 0.02)
    over = y - line + (0.0 if f.domain == "cartoon" else ragged * 0.6 * strand)
    if f.domain == "cartoon" and ragged > 0:
        over = over + 0.035 * np.sin(azimuth * 14.0 + f.seed % 6)
    colour = colour * (1.0 - 0.28 * np.exp(-((np.maximum(-over, 0) / 0.05) ** 2)) * (over < 0.1))[..., None]
    mask = smoothstep(-0.006, 0.014, over)
    if f.hair_style == "beanie":
        band = smoothstep(0.17, 0.155, over)
        return mix(colour, knit(f, p) * (1.0 - 0.25 * band)[..., None], mask)
    top = hair(f, p)
    if f.hair_style == "buzz":
        top = 0.72 * top + 0.28 * rgb(f.skin)
    if f.hair_style == "mohawk":
        mask = mask * (0.35 + 0.65 * np.exp(-((x / 0.2) ** 4)))
    if f.hair_style == "side_part":
        top = top * (1.0 - 0.45 * np.exp(-(((x - 0.25) / 0.018) ** 2)) * (y > 0.3))[..., None]
    top = top * (0.72 + 0.28 * smoothstep(0.0, 0.10, over))[..., None]
    return mix(colour, top, mask)


def animal_head(f: Identity, p: Array) -> Array:
    """Fur, muzzle and nose."""
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    side, front = np.abs(x), smoothstep(0.0, 0.3, z)
    ex, tip, base = EYE_X * f.eye_spacing, -0.25 * f.nose_length, rgb(f.skin)
    pale = base + (WHITE - base) * 0.62
    colour = fur(f, p)
    tone = colour / np.maximum(base, 1.0)
    rng = np.random.Generator(np.random.PCG64(f.seed + 11))
    pattern = int(rng.integers(4))
    if pattern == 1:  # stripes
        stripe = smoothstep(
            0.25, 0.6, np.sin(side * 16.0 - 9.0 * y + 1.2 * waves(p, f.seed + 12, 3.0))
        ) * smoothstep(0.15, 0.45, y + 0.6 * side)
        colour = mix(colour, colour * 0.55, 0.75 * stripe)
    elif pattern == 2:  # blaze
        colour = mix(
            colour,
            pale * tone,
            smoothstep(0.16, 0.07, side - 0.1 * np.abs(y - 0.3)) * smoothstep(-0.3, 0.0, y) * front,
        )
    elif pattern == 3:  # patches round the eyes
        patch = smoothstep(1.15, 0.8, np.sqrt(((side - ex) / 0.27) ** 2 + ((y - EYE_Y - 0.04) / 0.27) ** 2))
        colour = mix(
            colour, colour * 0.5, patch if rng.random() < 0.5 else np.asarray(np.where(x > 0, patch, 0.0))
        )
    muzzle = smoothstep(1.15, 0.75, np.sqrt((x / 0.42) ** 2 + ((y + 0.52) / 0.36) ** 2)) * front
    if f.kind == "monkey":
        face = smoothstep(1.1, 0.9, np.sqrt((x / 0.58) ** 2 + ((y + 0.12) / 0.72) ** 2)) * front
        colour = mix(colour, (0.5 * pale + 0.5 * np.array([226.0, 176.0, 140.0])) * tone, face)
    colour = mix(colour, pale * tone, muzzle)
    around = bump(side, y, ex, EYE_Y, 0.22, 0.16) * front
    colour = mix(colour, colour * 0.72, np.clip(0.7 * around, 0, 1))
    dots = bump(np.abs(side - 0.22) % 0.08, (y + 0.42) % 0.07, 0.04, 0.035, 0.012, 0.012) * bump(
        side, y, 0.22, -0.42, 0.1, 0.09
    )
    colour = mix(colour, base * 0.3, np.clip(dots, 0, 0.8) * front)
    dark = (
        np.array([52.0, 40.0, 40.0])
        if f.kind in ("dog", "bear", "fox", "monkey")
        else np.array([196.0, 120.0, 124.0])
    )
    if f.kind != "monkey":
        wide = 0.15 - 0.35 * np.clip(tip - y, 0, 0.2)
        pad = smoothstep(1.06, 0.92, np.sqrt((x / wide) ** 2 + ((y - tip + 0.02) / 0.09) ** 2)) * front
        gleam = 70.0 * bump(x, y, -0.03, tip + 0.02, 0.05, 0.022)
        colour = mix(colour, dark + gleam[..., None], pad)
        line = (
            np.exp(-((x / 0.010) ** 2))
            * smoothstep(tip - 0.06, tip - 0.09, y)
            * smoothstep(MOUTH_Y, MOUTH_Y + 0.03, y)
        )
        colour = mix(colour, dark * 0.8, line * front)
    nostril = bump(side, y, 0.055, tip - 0.045, 0.026, 0.018)
    colour = mix(colour, dark * 0.35, np.clip(1.2 * nostril, 0, 0.9) * front)
    u = side / (0.25 * f.mouth_width)
    arch = np.clip(1.0 - u**2, 0.0, 1.0) ** 0.8
    lip = smoothstep(-0.012, 0.012, 0.042 * arch - (y - MOUTH_Y)) * smoothstep(
        -0.012, 0.012, 0.062 * arch - (MOUTH_Y - y)
    )
    lip = lip * smoothstep(1.02, 0.92, u) * front
    colour = mix(colour, 0.25 * base + np.array([120.0, 52.0, 56.0]), 0.9 * lip)
    return _brows_fur(f, p, colour)


def _brows_fur(f: Identity, p: Array, colour: Array) -> Array:
    x, y = p[..., 0], p[..., 1]
    u = (np.abs(x) - 0.13) / 0.33
    spine = 0.245 + 0.05 * np.sin(np.pi * np.clip(u, 0, 1)) - 0.02 * u
    mask = (
        smoothstep(1.2, 0.5, np.abs(y - spine) / (0.036 * f.brow_thickness))
        * smoothstep(-0.1, 0.1, u)
        * smoothstep(1.1, 0.8, u)
    )
    return mix(colour, rgb(f.skin) * 0.35, 0.7 * mask * smoothstep(0.1, 0.3, p[..., 2]))


def fur(f: Identity, p: Array) -> Array:
    """Short hairs over slow changes of tone."""
    grain, tuft = streaks(p.shape[:2], f.seed + 9, 5.0, 0.8), streaks(p.shape[:2], f.seed + 10, 8.0, 2.5)
    tone = 1.0 + 0.09 * grain + 0.07 * tuft + 0.06 * waves(p, f.seed + 13, 3.0)
    return np.asarray(rgb(f.skin) * tone[..., None])


def ear(f: Identity, p: Array) -> Array:
    """Ears of every kind, darker or pinker inside."""
    rows, columns = p.shape[:2]
    v, u = np.mgrid[0:rows, 0:columns]
    u, v = u / (columns - columns / 11) * 2 - 1, v / (rows - rows / 7) * 2 - 1
    inner = smoothstep(0.42, 0.20, np.abs(u)) * smoothstep(0.75, 0.35, np.abs(v))
    if f.domain == "animal":
        pink = 0.5 * rgb(f.skin) + 0.5 * np.array([220.0, 150.0, 150.0])
        reach = smoothstep(0.34, 0.22, np.abs(u)) * smoothstep(-0.95, -0.3, v)
        return mix(fur(f, p), fur(f, p) * 0.8 if f.kind == "dog" else pink + 0 * p, reach)
    colour = skin(f, p) * np.array([1.0, 0.93, 0.92])
    return np.asarray(colour * (1.0 - 0.38 * inner)[..., None])


def neck(f: Identity, p: Array) -> Array:
    """The neck, in the shadow of the chin."""
    y, z = p[..., 1], p[..., 2]
    colour = fur(f, p) if f.domain == "animal" else skin(f, p)
    shadow = smoothstep(-1.25, -0.85, y) * smoothstep(-0.25, 0.15, z)
    return np.asarray(colour * (1.0 - (0.25 if f.domain == "cartoon" else 0.45) * shadow)[..., None])


def cloth(f: Identity, p: Array) -> Array:
    """Clothes with a collar."""
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    side, front = np.abs(x), smoothstep(-0.2, 0.0, z)
    weave = 1.0 + 0.03 * waves(p, f.seed + 14, 40.0, 1) + 0.05 * waves(p, f.seed + 15, 4.0)
    colour = rgb(f.cloth) * weave[..., None]
    accent = rgb(f.cloth_accent) * weave[..., None]
    bare = neck(f, p) if f.domain != "animal" else fur(f, p)
    if f.collar == "stripes":
        colour = mix(colour, accent, smoothstep(-0.2, 0.2, np.sin(y * 26.0)))
    if f.collar == "vneck":
        v = side * 1.5 - (y + 1.85)
        colour = mix(colour, bare, smoothstep(0.05, -0.05, v) * front)
        colour = mix(
            colour, accent, np.exp(-(((v - 0.06) / 0.05) ** 2)) * front * smoothstep(-1.26, -1.32, y)
        )
    elif f.collar == "shirt":
        edge = np.abs(side - 0.9 * (-1.24 - y))
        colour = mix(colour, accent, smoothstep(0.05, -0.05, side - 0.55 * (-1.3 - y)) * front)
        colour = (
            colour
            * (1.0 - 0.3 * np.exp(-((edge / 0.025) ** 2)) * front * smoothstep(-1.8, -1.6, y))[..., None]
        )
    else:
        colour = mix(colour, accent, smoothstep(-1.36, -1.34, y) * 0.9)
    return np.asarray(colour)


def stone(f: Identity, p: Array, colour: Array) -> Array:
    """Turn painted colours into one material: a hint of their lightness stays, and faint traces of paint."""
    base, paint_left = rgb(f.skin), colour
    light = (colour @ np.array([0.3, 0.59, 0.11])) / max(float(base @ np.array([0.3, 0.59, 0.11])), 1.0)
    tone = np.clip(0.36 + 0.56 * light, 0.22, 1.0)
    rough = 0.05 * waves(p, f.seed + 16, 5.0) + 0.03 * waves(p, f.seed + 17, 45.0, 1)
    colour = 0.72 * base * (tone + rough)[..., None] + 0.28 * paint_left
    if f.kind == "marble":
        vein = np.exp(-((waves(p, f.seed + 18, 3.2, 3) / 0.06) ** 2))
        colour = mix(colour, base * 0.72, 0.5 * vein)
    if f.kind == "bronze":
        patina = smoothstep(0.5, 1.3, waves(p, f.seed + 19, 3.5, 3) + 0.6 * (1.0 - light))
        colour = mix(colour, np.array([92.0, 142.0, 122.0]), 0.6 * patina)
    if f.kind in ("limestone", "basalt"):
        pits = smoothstep(0.75, 1.1, waves(p, f.seed + 20, 34.0, 2))
        colour = colour * (1.0 - 0.18 * pits)[..., None]
    return np.asarray(colour)
