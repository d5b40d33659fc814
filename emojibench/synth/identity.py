"""Identities: everything about a synthetic portrait that does not move.

Shape fields are multipliers around 1 or strengths from 0 to 1; colours are RGB, 0 to 255. Each field's docstring
gives the range it is drawn from; docs/synth.md tells the distributions.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np

from emojibench.errors import UserError

RGB = tuple[int, int, int]

DOMAINS = ("realistic", "cartoon", "sculpture", "animal")
HAIR_STYLES = (
    "short", "buzz", "bald", "side_part", "fringe", "long", "long_fringe", "bob", "afro", "curly", "bun", "pigtails",
    "mohawk", "receding", "beanie", "slick",
)  # fmt: skip
BEARDS = ("none", "stubble", "full", "goatee", "moustache")
GLASSES = ("none", "round", "square", "oval")
BACKGROUNDS = ("gradient", "bokeh", "studio", "room", "window", "stripes", "landscape", "night")
MATERIALS = ("marble", "limestone", "bronze", "terracotta", "plaster", "basalt")
SPECIES = ("cat", "dog", "bear", "fox", "rabbit", "monkey")

SKINS: tuple[RGB, ...] = (
    (250, 222, 202), (244, 208, 180), (234, 190, 156), (216, 167, 128), (190, 138, 98), (158, 108, 72),
    (124, 82, 54), (92, 60, 42),
)  # fmt: skip
CARTOON_SKINS: tuple[RGB, ...] = (
    *SKINS[:7], (255, 214, 120), (255, 190, 150), (236, 176, 190), (190, 204, 160),
)  # fmt: skip
HAIRS: tuple[RGB, ...] = (
    (30, 24, 22), (52, 36, 28), (86, 56, 36), (124, 80, 46), (168, 116, 62), (216, 176, 108), (150, 66, 34),
    (176, 172, 168), (226, 222, 214),
)  # fmt: skip
CARTOON_HAIRS: tuple[RGB, ...] = (
    *HAIRS, (230, 80, 120), (70, 120, 220), (60, 170, 140), (150, 90, 210), (255, 200, 60), (240, 110, 40),
)  # fmt: skip
IRISES: tuple[RGB, ...] = (
    (70, 44, 26), (96, 62, 34), (120, 92, 46), (88, 112, 70), (70, 120, 160), (110, 150, 190), (110, 118, 124),
)  # fmt: skip
CLOTHES: tuple[RGB, ...] = (
    (38, 44, 62), (196, 62, 58), (60, 110, 170), (230, 226, 216), (74, 128, 92), (226, 170, 60), (128, 76, 140),
    (54, 54, 54), (236, 140, 150), (70, 160, 170), (150, 110, 80), (170, 180, 190),
)  # fmt: skip
FURS: dict[str, tuple[RGB, ...]] = {
    "cat": ((226, 150, 76), (120, 118, 122), (72, 66, 66), (232, 222, 206), (176, 136, 96)),
    "dog": ((200, 148, 88), (128, 84, 52), (226, 206, 176), (96, 78, 70), (210, 210, 206)),
    "bear": ((124, 82, 52), (86, 62, 48), (232, 228, 218), (160, 112, 70)),
    "fox": ((222, 116, 48), (196, 98, 52), (206, 206, 212)),
    "rabbit": ((226, 216, 206), (158, 138, 122), (206, 176, 146), (128, 124, 128)),
    "monkey": ((120, 84, 56), (92, 68, 54), (170, 120, 70)),
}
STONES: dict[str, RGB] = {
    "marble": (226, 222, 216), "limestone": (206, 190, 160), "bronze": (126, 92, 56), "terracotta": (190, 108, 74),
    "plaster": (236, 234, 230), "basalt": (112, 114, 118),
}  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """A subject: hashable, and enough to render every one of its frames."""

    seed: int
    domain: str
    kind: str
    """Species of an animal, material of a sculpture, otherwise the domain."""
    face_width: float
    """0.92-1.08 (cartoon 0.92-1.15)."""
    face_length: float
    """0.94-1.06."""
    jaw: float
    """0 narrow to 1 square."""
    chin: float
    """0 receding to 1 long."""
    cheeks: float
    """0 hollow to 1 full."""
    brow_ridge: float
    """0-1."""
    nose_length: float
    """0.85-1.15."""
    nose_width: float
    """0.8-1.25."""
    nose_height: float
    """0.75-1.25: how far it sticks out."""
    lips: float
    """0.75-1.35: fullness."""
    mouth_width: float
    """0.88-1.14."""
    eye_size: float
    """0.92-1.12 (cartoon 1.25-1.6, animal 1.05-1.25)."""
    eye_spacing: float
    """0.95-1.06."""
    eye_tilt: float
    """-0.12 to 0.16 rise of the outer corner."""
    lid: float
    """0 open to 1 hooded."""
    brow_thickness: float
    """0.6-1.5."""
    brow_arch: float
    """-0.3 to 1."""
    ear_size: float
    """0.85-1.2."""
    skin: RGB
    hair: RGB
    iris: RGB
    lip: RGB
    cloth: RGB
    cloth_accent: RGB
    hair_style: str
    hair_volume: float
    """0.7-1.3."""
    beard: str
    freckles: float
    """0 in two thirds, else 0.3-1."""
    makeup: float
    """0 in three fifths, else 0.3-1: eye shadow, blush, lip colour."""
    wrinkles: float
    """0-1."""
    glasses: str
    glasses_colour: RGB
    collar: str
    """crew, vneck, shirt or stripes."""
    background: str
    background_colours: tuple[RGB, RGB, RGB]
    light: tuple[float, float]
    """Direction of the key light: -55 to 55 degrees to the side, 10 to 50 above."""
    warmth: float
    """-1 cool to 1 warm."""
    size: float
    """0.94-1.06 of the usual head size."""


def sample_identity(seed: int, domain: str) -> Identity:
    """Draw an identity; the same seed and domain always give the same one.

    Raises UserError for an unknown domain.
    """
    if domain not in DOMAINS:
        near = difflib.get_close_matches(domain, DOMAINS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"unknown domain {domain!r}: expected one of {', '.join(DOMAINS)}{hint}")
    rng = np.random.Generator(np.random.PCG64([seed, DOMAINS.index(domain)]))

    def uniform(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 6)

    def choose(options: Seq[str], weights: Seq[float] | None = None) -> str:
        p = None if weights is None else np.asarray(weights) / np.sum(weights)
        return str(options[int(rng.choice(len(options), p=p))])

    def colour(palette: Seq[RGB], spread: float = 8.0) -> RGB:
        base = np.asarray(palette[int(rng.integers(len(palette)))]) + rng.uniform(-spread, spread, 3)
        r, g, b = (int(v) for v in np.clip(np.round(base), 0, 255))
        return r, g, b

    def blend(palette: Seq[RGB]) -> RGB:
        t = float(rng.uniform(0, len(palette) - 1))
        i = min(int(t), len(palette) - 2)
        r, g, b = (round(palette[i][c] + (t - i) * (palette[i + 1][c] - palette[i][c])) for c in range(3))
        return r, g, b

    cartoon, animal, sculpture = domain == "cartoon", domain == "animal", domain == "sculpture"
    kind = choose(SPECIES) if animal else choose(MATERIALS) if sculpture else domain
    skin = (
        colour(FURS[kind]) if animal
        else colour((STONES[kind],)) if sculpture
        else colour(CARTOON_SKINS) if cartoon
        else blend(SKINS)
    )  # fmt: skip
    hair = skin if sculpture or animal else colour(CARTOON_HAIRS if cartoon else HAIRS)
    makeup = uniform(0.3, 1.0) if rng.random() < 0.4 else 0.0
    rosy = (200, 70, 80) if makeup > 0 else (186, 92, 86)
    lip = tuple(
        round(0.45 * s * 0.9 + 0.55 * r * (0.35 + 0.65 * skin[0] / 250))
        for s, r in zip(skin, rosy, strict=True)
    )
    styles = tuple(s for s in HAIR_STYLES if not (sculpture and s == "beanie"))
    bearded = makeup == 0 and not animal and rng.random() < 0.42
    hue = rng.uniform(0, 1)
    return Identity(
        seed=seed,
        domain=domain,
        kind=kind,
        face_width=uniform(0.92, 1.15 if cartoon else 1.08),
        face_length=uniform(0.94, 1.06),
        jaw=uniform(0, 1),
        chin=uniform(0, 1),
        cheeks=uniform(0, 1),
        brow_ridge=uniform(0, 1),
        nose_length=uniform(0.85, 1.15),
        nose_width=uniform(0.8, 1.25),
        nose_height=uniform(0.75, 1.25),
        lips=uniform(0.75, 1.35),
        mouth_width=uniform(0.88, 1.14),
        eye_size=uniform(1.25, 1.6) if cartoon else uniform(1.05, 1.25) if animal else uniform(0.92, 1.12),
        eye_spacing=uniform(0.95, 1.06),
        eye_tilt=uniform(-0.12, 0.16),
        lid=uniform(0, 1),
        brow_thickness=uniform(0.6, 1.5),
        brow_arch=uniform(-0.3, 1.0),
        ear_size=uniform(0.85, 1.2),
        skin=skin,
        hair=hair,
        iris=colour(((200, 160, 40), (110, 160, 70), (90, 60, 34), (90, 150, 180)))
        if animal
        else colour(IRISES),
        lip=(lip[0], lip[1], lip[2]),
        cloth=colour(CLOTHES),
        cloth_accent=colour(CLOTHES),
        hair_style=choose(styles),
        hair_volume=uniform(0.7, 1.3),
        beard=choose(BEARDS[1:]) if bearded else "none",
        freckles=uniform(0.3, 1.0) if rng.random() < 0.33 else 0.0,
        makeup=makeup,
        wrinkles=uniform(0, 1) if rng.random() < 0.5 else 0.0,
        glasses=choose(GLASSES[1:]) if not sculpture and rng.random() < 0.28 else "none",
        glasses_colour=colour(((28, 26, 28), (110, 60, 36), (170, 140, 70), (150, 30, 40), (60, 70, 90))),
        collar=choose(("crew", "vneck", "shirt", "stripes")),
        background=choose(BACKGROUNDS),
        background_colours=(_hsv(hue, rng), _hsv(hue + 0.08, rng), _hsv(hue + rng.uniform(0.3, 0.7), rng)),
        light=(uniform(-55, 55), uniform(10, 50)),
        warmth=uniform(-1, 1),
        size=uniform(0.94, 1.06),
    )


def _hsv(hue: float, rng: np.random.Generator) -> RGB:
    """A colour of moderate saturation near a hue (0 to 1, wraps)."""
    saturation, value = rng.uniform(0.12, 0.6), rng.uniform(0.35, 0.95)
    phase = (hue + np.array([0.0, 2.0 / 3.0, 1.0 / 3.0])) % 1.0
    level = np.clip(np.abs(phase * 6.0 - 3.0) - 1.0, 0.0, 1.0)
    r, g, b = (int(v) for v in np.round(255.0 * value * (1.0 - saturation * (1.0 - level))))
    return r, g, b
