"""Still pictures, whatever their mode, as uint8 RGB."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from emojibench.dataset.clip import Frames, Image
from emojibench.errors import MediaError
from emojibench.media.files import write_bytes

TRANSPARENT_ON = (255, 255, 255)
"""RGB that transparent pixels are composited on: white, as a browser shows them."""


def read_image(path: str | Path) -> Image:
    """Read a picture as uint8 RGB (H, W, 3), upright.

    EXIF orientation is applied; grey and palette pictures become RGB; transparency is composited on
    `TRANSPARENT_ON`; 16-bit grey becomes 8-bit by dividing by 257. Of an animation, the first frame.

    Raises:
        MediaError: no such file, not a picture, damaged, or floating-point pixels (of unknown range).
    """
    path = Path(path)
    try:
        with Pillow.open(path) as picture:
            return _rgb(ImageOps.exif_transpose(picture), path)
    except FileNotFoundError:
        raise MediaError(f"{path}: no such picture") from None
    except UnidentifiedImageError:
        raise MediaError(f"{path}: not a picture that can be read (PNG, JPEG, WebP, ...)") from None
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        raise MediaError(f"{path}: the picture is damaged or cannot be read: {error}") from error


def write_image(path: Path, image: Image) -> None:
    """Write uint8 RGB (H, W, 3) as PNG, atomically. Raises `UserError` when it cannot be written."""
    buffer = io.BytesIO()
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


def _rgb(picture: Pillow.Image, path: Path) -> Image:
    if picture.mode == "F":
        raise MediaError(f"{path}: floating-point pixels have no stated range; save it with 8 or 16 bits")
    if picture.mode.startswith("I"):
        return _from_16_bit(np.asarray(picture, np.int64), path)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        ground = Pillow.new("RGBA", layer.size, (*TRANSPARENT_ON, 255))
        picture = Pillow.alpha_composite(ground, layer)
    return np.array(picture.convert("RGB"), np.uint8)


def _from_16_bit(grey: NDArray[np.int64], path: Path) -> Image:
    if grey.min() < 0 or grey.max() > 65535:
        raise MediaError(
            f"{path}: grey values run from {grey.min()} to {grey.max()}; expected 16 bits (0 to 65535)"
        )
    eight = ((grey + 128) // 257).astype(np.uint8)
    return np.repeat(eight[:, :, None], 3, axis=2)
