"""Still pictures, whatever their mode, as uint8 RGB."""

import contextlib
import functools
import io
import re
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from emojibench.errors import MediaError, UserError
from emojibench.files.reading import MissingFileError, open_file
from emojibench.files.writing import write_bytes
from emojibench.media import colour
from emojibench.types import Frames, Image

PICTURES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif"}
)
"""Suffixes of pictures that are read, in lower case."""
MAX_PIXELS = 51_000_000
"""Most pixels that a picture may have: those of a phone's 50 megapixels, less than 1 GiB at work. A larger one is
refused before memory is taken for it."""
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF", "HEIF")
"""Pillow's names of the formats that are read. Others start programs (EPS) or hold no pictures of people."""
_NEED_READERS = (
    (b"avif|avis", "an AVIF", "AVIF", "pillow-avif-plugin"),
    (b"heic|heix|hevc|mif1", "a HEIC", "HEIF", "pillow-heif"),
)
"""Brands of files that Pillow may not read here: what they are, Pillow's name, and the package that reads them."""


def read_image(path: str | Path) -> Image:
    """Read a picture as uint8 RGB (H, W, 3), upright, in sRGB.

    EXIF orientation and the ICC profile are applied; grey and palette pictures become RGB; transparency is
    composited on `colour.TRANSPARENT_ON`; 16-bit grey becomes 8-bit by dividing by 257. Of an animation, the
    first frame.

    Raises:
        MediaError: no such regular file, not a picture, more than `MAX_PIXELS`, damaged, floating-point pixels (of
            unknown range), high dynamic range, or HEIC without the package that reads it.
    """
    path = Path(path)
    try:
        with open_file(path) as stream:
            return _read(stream, path)
    except MissingFileError:
        raise MediaError(f"{path}: no such picture") from None
    except MediaError:
        raise
    except UserError as error:
        raise MediaError(str(error)) from error


def write_image(path: Path, image: Image) -> None:
    """Write uint8 RGB (H, W, 3) as PNG, or as JPEG if the name ends so, atomically.

    Raises:
        UserError: it cannot be written.
    """
    buffer = io.BytesIO()
    if path.suffix.lower() in (".jpg", ".jpeg"):
        Pillow.fromarray(image).save(buffer, format="jpeg", quality=92, subsampling=0)
    else:
        Pillow.fromarray(image).save(buffer, format="png")
    write_bytes(path, buffer.getvalue())


def resize(frames: Frames | Image, size: int | tuple[int, int]) -> NDArray[np.uint8]:
    """Resize (H, W, 3) or (T, H, W, 3) uint8 to `size`: a side of a square, or (width, height).

    OpenCV's area filter when the picture gets smaller (no aliasing), bicubic when it gets larger;
    a copy-free return when the size is right already.
    """
    import cv2

    width, height = (size, size) if isinstance(size, int) else size
    old_height, old_width = frames.shape[-3:-1]
    if (old_width, old_height) == (width, height):
        return frames
    smaller = width * height < old_width * old_height
    filter_ = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    if frames.ndim == 3:
        return np.asarray(cv2.resize(frames, (width, height), interpolation=filter_), np.uint8)
    resized = np.empty((len(frames), height, width, 3), np.uint8)
    for frame, target in zip(frames, resized, strict=True):
        cv2.resize(frame, (width, height), dst=target, interpolation=filter_)
    return resized


def _read(stream: BinaryIO, path: Path) -> Image:
    head = stream.read(1 << 16)
    stream.seek(0)
    _refuse_high_dynamic_range(head, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's, about sizes (checked here) and sloppy metadata
            with Pillow.open(stream, formats=_formats()) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise MediaError(
                        f"{path}: {width}x{height} pixels; expected at most {MAX_PIXELS:,}, make it smaller"
                    )
                picture.load()
                ImageOps.exif_transpose(picture, in_place=True)
                return _rgb(picture, path, _primaries(head))
    except MediaError:
        raise
    except UnidentifiedImageError:
        raise MediaError(f"{path}: {_unidentified(head)}") from None
    except Pillow.DecompressionBombError as error:
        raise MediaError(f"{path}: too large ({error}); expected at most {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # Pillow's plug-ins let through whatever a file makes them stumble over
        raise MediaError(f"{path}: the picture is damaged or cannot be read: {error}") from error


def _rgb(picture: Pillow.Image, path: Path, primaries: int) -> Image:
    if picture.mode == "F":
        raise MediaError(f"{path}: floating-point pixels have no stated range; save it with 8 or 16 bits")
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I"):
        picture = Pillow.fromarray(_from_16_bit(np.asarray(picture), path))
    elif picture.mode != "RGBA" and picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode not in ("L", "RGB", "CMYK", "RGBA"):
        picture = picture.convert("RGB")
    picture.info["icc_profile"] = profile
    picture = colour.with_profile(picture) if profile else colour.with_primaries(picture, primaries)
    if picture.mode == "RGBA":
        return colour.on_white(picture)
    return np.array(picture.convert("RGB"), np.uint8)


def _from_16_bit(grey: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    if grey.min() < 0 or grey.max() > 65535:
        raise MediaError(
            f"{path}: grey values run from {grey.min()} to {grey.max()}; expected 16 bits (0 to 65535)"
        )
    eight = (np.arange(65536) + 128) // 257
    image: NDArray[np.uint8] = eight.astype(np.uint8)[grey]
    return image


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `_FORMATS` that can be read here; HEIF where Pillow's plug-in is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Pillow.init()
    return tuple(name for name in _FORMATS if name in Pillow.OPEN)


def _unidentified(head: bytes) -> str:
    for brands, kind, reader, package in _NEED_READERS:
        if re.match(rb"....ftyp.{0,64}(" + brands + rb")", head[:80], re.DOTALL):
            if reader in _formats():
                return "the picture is damaged or cut short"
            return f"{kind} picture; install its reader (pip install {package}), or convert it to PNG or JPEG"
    return "not a picture that can be read (PNG, JPEG, WebP, ...)"


def _primaries(head: bytes) -> int:
    """H.273's number of the primaries that PNG or the HEIF family say (`cICP`, `nclx`); 2 where they do not."""
    said = re.search(rb"(?:cICP|colrnclx.)(.)", head, re.DOTALL)
    return said[1][0] if said else 2


def _refuse_high_dynamic_range(head: bytes, path: Path) -> None:
    """PNG and the HEIF family may say (`cICP`, `nclx`) that they are PQ or HLG, which Pillow passes over."""
    said = re.search(rb"(?:cICP.|colrnclx...)(.)", head, re.DOTALL)
    if said and said[1][0] in (colour.PQ, colour.HLG):
        raise MediaError(f"{path}: a picture of high dynamic range; convert it to sRGB")
