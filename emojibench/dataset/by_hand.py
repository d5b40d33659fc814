"""Landmarks that somebody places by hand: a few points become 478, stored beside the picture, with an overlay."""

import base64
import html
import io
import json
import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from emojibench.dataset.sources import LANDMARK_FILES, OVERLAY
from emojibench.errors import UserError
from emojibench.face import points as topology
from emojibench.face.template import NAMED, NEEDED, fit
from emojibench.media import read_image, write_image, write_text
from emojibench.registry import unknown
from emojibench.types import Image, Landmarks

EXAMPLE = "right-eye=120,140 left-eye=200,140 nose=160,190 mouth=160,230"
_POINT = re.compile(r"\s*([A-Za-z-]+)\s*=\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)[\s;]*")


def place(picture: Path, points: str, *, overwrite: bool = False) -> tuple[Path, Path]:
    """Fit a face to a few points of a picture; write `<name>.json` and `<name>.landmarks.png` beside it.

    Args:
        picture: any that `data build` reads.
        points: as `EXAMPLE`: names of `NAMED` with pixels x,y of the upright picture.
        overwrite: whether to replace landmarks that are there.

    Returns:
        The landmark file, and the picture with the landmarks drawn on it.

    Raises:
        UserError: the picture cannot be read, the points are malformed or give no face, or landmarks are there.
    """
    image = read_image(picture)
    marked = parsed(points, image)
    for suffix in LANDMARK_FILES:
        other = picture.with_suffix(suffix)
        if other.exists() and not (overwrite and suffix == ".json"):
            way = "replace it with --overwrite" if suffix == ".json" else "it comes first: remove it"
            raise UserError(f"{other}: already there; {way}")
    try:
        landmarks = fit(marked, (image.shape[1], image.shape[0]))
    except ValueError as error:
        raise UserError(f"--points: they give no face: {error}; got {points!r}") from error
    file, overlay = picture.with_suffix(".json"), picture.with_suffix(OVERLAY)
    content = {
        "points": marked,
        "landmarks": [[round(float(value), 6) for value in point] for point in landmarks],
    }
    write_text(file, json.dumps(content) + "\n")
    write_image(overlay, drawn(image, landmarks))
    return file, overlay


def parsed(points: str, image: Image) -> dict[str, tuple[float, float]]:
    """Named points of a text as `EXAMPLE`, each inside the picture.

    Raises:
        UserError: malformed, an unknown name, one given twice, one missing, or one outside.
    """
    height, width, _ = image.shape
    marked: dict[str, tuple[float, float]] = {}
    at = 0
    while at < len(points):
        found = _POINT.match(points, at)
        try:
            if found is None:
                raise ValueError
            name, x, y = found[1].lower(), float(found[2]), float(found[3])
        except ValueError:
            raise UserError(
                f"--points: expected names and pixels, as {EXAMPLE!r}, got {points[at:]!r}"
            ) from None
        if name not in NAMED:
            raise UserError(f"--points: {unknown('point', name, list(NAMED))}")
        if name in marked:
            raise UserError(f"--points: {name} is given twice; give it once")
        if not (0 <= x <= width and 0 <= y <= height):
            raise UserError(
                f"--points: {name}={x:g},{y:g} lies outside the picture of {width}x{height} pixels"
            )
        marked[name] = (x, y)
        at = found.end()
    if missing := [name for name in NEEDED if name not in marked]:
        raise UserError(f"--points: {', '.join(missing)} missing; expected at least {EXAMPLE!r}")
    return marked


def drawn(image: Image, landmarks: Landmarks) -> Image:
    """The picture with outlines and points of a face (478, 3) on it."""
    import cv2

    height, width, _ = image.shape
    canvas = image.copy()
    pixels = np.round(landmarks[:, :2] * (width, height)).astype(np.int32)
    thickness = max(1, round(min(height, width) / 300))
    for point in pixels:
        cv2.circle(canvas, tuple(map(int, point)), thickness, (255, 255, 255), -1)
    rings = (
        topology.OVAL, topology.RIGHT_EYE, topology.LEFT_EYE, topology.RIGHT_BROW, topology.LEFT_BROW,
        topology.OUTER_LIPS, topology.INNER_LIPS,
    )  # fmt: skip
    for ring in rings:
        cv2.polylines(canvas, [pixels[list(ring)]], True, (0, 160, 255), thickness, cv2.LINE_AA)
    cv2.polylines(canvas, [pixels[list(topology.NOSE_BRIDGE)]], False, (0, 160, 255), thickness, cv2.LINE_AA)
    return canvas


def clicking_page(picture: Path) -> Path:
    """Write a page for the browser, in a new temporary folder, on which the points are clicked; it shows the command.

    Raises:
        UserError: the picture cannot be read.
    """
    buffer = io.BytesIO()
    Pillow.fromarray(read_image(picture)).save(buffer, format="png")
    command = f"emojibench data landmarks {shlex.quote(str(picture))} --points "
    told: Mapping[str, str] = {
        "PICTURE": base64.b64encode(buffer.getvalue()).decode(),
        "NAMES": json.dumps(list(NAMED)),
        "NEEDED": str(len(NEEDED)),
        "COMMAND": json.dumps(command).replace("<", "\\u003c"),
        "TITLE": html.escape(picture.name),
    }
    page = Path(tempfile.mkdtemp(prefix="emojibench-")) / "landmarks.html"
    write_text(page, re.sub("|".join(told), lambda found: told[found[0]], _PAGE))
    return page


_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Landmarks: TITLE</title>
<style>body { font: 16px sans-serif } img { max-width: 90vw; max-height: 75vh; cursor: crosshair }</style>
<p id="ask"></p>
<img id="picture" src="data:image/png;base64,PICTURE" alt="">
<p><button id="undo">Undo</button> <code id="command"></code></p>
<script>
const names = NAMES, needed = NEEDED, command = COMMAND, clicked = [];
const picture = document.getElementById("picture");
function show() {
  const next = names[clicked.length], rest = clicked.length < needed ? "" : " (or run the command below)";
  document.getElementById("ask").textContent = next
    ? `Click: ${next}${rest}. Right and left are the person's own.` : "Run the command below.";
  const points = clicked.map(([x, y], i) => `${names[i]}=${x},${y}`).join(" ");
  document.getElementById("command").textContent = clicked.length < needed ? points : `${command}"${points}"`;
}
picture.onclick = (event) => {
  const scale = picture.naturalWidth / picture.clientWidth;
  if (clicked.length < names.length)
    clicked.push([Math.round(event.offsetX * scale), Math.round(event.offsetY * scale)]);
  show();
};
document.getElementById("undo").onclick = () => { clicked.pop(); show(); };
show();
</script>
"""
