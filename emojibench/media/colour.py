"""Every colour becomes sRGB on white: transparency, ICC profiles, wide gamuts and high dynamic range."""

import functools
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from emojibench.types import Image

TRANSPARENT_ON = (255, 255, 255)
"""RGB that transparent pixels are composited on: white, as a browser shows them."""
REFERENCE_WHITE = 203.0
"""cd/m² that become sRGB's white, as BT.2408 has it."""
PEAK = 1000.0
"""cd/m² of the display that high dynamic range is taken to be graded for; what is brighter is clipped."""
SRGB, PQ, HLG = 13, 16, 18
"""Transfer functions, as ITU-T H.273 numbers them."""
_FROM_PRIMARIES = {
    # Linear RGB of BT.2020, DCI-P3 with D65 (Display P3) to linear RGB of BT.709.
    9: [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
    12: [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]],
}
WIDE = {9: "BT.2020", 12: "Display P3"}
"""Primaries that are brought to those of sRGB, as H.273 numbers them; others are close to sRGB's and stay."""
_ROWS = 256
"""Pictures are worked on in strips of so many rows, so that a large one is not held many times."""


def on_white(picture: Pillow.Image) -> Image:
    """Composite a picture of mode RGBA, with straight alpha, on `TRANSPARENT_ON`."""
    width, height = picture.size
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _ROWS):
        layer = picture.crop((0, top, width, min(height, top + _ROWS)))
        ground = Pillow.new("RGBA", layer.size, (*TRANSPARENT_ON, 255))
        image[top : top + _ROWS] = np.asarray(Pillow.alpha_composite(ground, layer))[..., :3]
    return image


def with_profile(picture: Pillow.Image) -> Pillow.Image:
    """A picture of mode L, RGB, CMYK or RGBA in sRGB (RGB or RGBA), by the ICC profile that it carries.

    Relative colorimetric, with black-point compensation. Without a profile, with one that is sRGB's (to a level),
    or with one for another kind of colour (browsers, too, ignore that), the picture is returned as it is.

    Raises:
        ValueError: the profile is damaged.
    """
    from PIL import ImageCms

    data = picture.info.get("icc_profile")
    if not data:
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        if space == "RGB" and picture.mode in ("L", "RGB", "RGBA"):
            if _is_srgb(profile):
                return picture
            converted = _converted(picture.convert("RGB"), profile)
        elif (space, picture.mode) in (("GRAY", "L"), ("CMYK", "CMYK")):
            converted = _converted(picture, profile)
        else:
            return picture
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError(f"its ICC profile is damaged or cannot be applied ({error})") from error
    if picture.mode == "RGBA":
        converted.putalpha(picture.getchannel("A"))
    return converted


def with_primaries(picture: Pillow.Image, primaries: int) -> Pillow.Image:
    """A picture without an ICC profile in sRGB, by the number of its primaries; as it is where they are not `WIDE`."""
    if primaries not in WIDE or picture.mode not in ("RGB", "RGBA"):
        return picture
    codes = np.asarray(picture.convert("RGB"), np.uint16) * np.uint16(257)
    converted = Pillow.fromarray(to_srgb(codes, SRGB, primaries))
    if picture.mode == "RGBA":
        converted.putalpha(picture.getchannel("A"))
    return converted


def to_srgb(coded: NDArray[np.uint16], transfer: int, primaries: int) -> Image:
    """Bring (H, W, 3) RGB code values, 0 to 65535, of a wide gamut or a high dynamic range to sRGB.

    `PQ` and `HLG` become light on a display of `PEAK` cd/m² (HLG by the OOTF of BT.2100, gamma 1.2), which the
    EETF of BT.2390, applied to the largest of R, G and B, compresses to `REFERENCE_WHITE`; then the primaries are
    changed, and what lies outside sRGB is clipped. Standard video is shown with the code values that it has, whose
    light is BT.1886's (gamma 2.4); so that is how light becomes code values here, and how other transfer functions but
    `SRGB` are read: the same scene looks the same, whichever way it was stored.
    """
    image = np.empty(coded.shape, np.uint8)
    for top in range(0, len(coded), _ROWS):
        image[top : top + _ROWS] = _strip_to_srgb(coded[top : top + _ROWS], transfer, primaries)
    return image


def _strip_to_srgb(coded: NDArray[np.uint16], transfer: int, primaries: int) -> Image:
    light = _light(transfer)[coded]
    if transfer == HLG:
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= PEAK * luminance[..., None] ** 0.2
    if transfer in (PQ, HLG):
        brightest = light.max(axis=2)
        light *= (np.interp(np.sqrt(brightest), *_compression()) / REFERENCE_WHITE)[..., None].astype(
            np.float32
        )
    if primaries in _FROM_PRIMARIES:
        light = light @ np.array(_FROM_PRIMARIES[primaries], np.float32).T
    image: Image = _codes(transfer)[(np.sqrt(light.clip(0, 1)) * 65535 + 0.5).astype(np.uint16)]
    return image


def _converted(picture: Pillow.Image, profile: Any) -> Pillow.Image:
    from PIL import ImageCms

    converted = ImageCms.profileToProfile(
        picture,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # not in place
    return converted


def _is_srgb(profile: Any) -> bool:
    levels = np.linspace(0, 255, 17).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(17, -1, 3)
    seen = np.asarray(_converted(Pillow.fromarray(colours), profile), np.int16)
    return bool(np.abs(seen - colours).max() <= 1)


@functools.cache
def _light(transfer: int) -> NDArray[np.float32]:
    """Light for each code value: cd/m² for PQ, 0 to 1 otherwise."""
    code = np.linspace(0, 1, 65536)
    if transfer == PQ:
        light = _pq_light(code)
    elif transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    elif transfer == SRGB:
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    else:
        light = code**2.4
    return light.astype(np.float32)


@functools.cache
def _codes(transfer: int) -> NDArray[np.uint8]:
    """The code value, 0 to 255, for each of 65536 roots of light."""
    root = np.linspace(0, 1, 65536)
    codes = root ** (2 / 2.4)
    if transfer == SRGB:
        codes = np.where(root**2 <= 0.0031308, 12.92 * root**2, 1.055 * codes - 0.055)
    return (codes * 255 + 0.5).astype(np.uint8)


@functools.cache
def _compression() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Root of light in cd/m², and the factor by which BT.2390's EETF changes that light."""
    root = np.linspace(0, 100, 4097)
    light = root**2
    top = _pq_code(np.array(PEAK))
    code = (_pq_code(light) / top).clip(0, 1)
    most = _pq_code(np.array(REFERENCE_WHITE)) / top
    knee = 1.5 * most - 0.5
    t = ((code - knee) / (1 - knee)).clip(0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    )
    compressed = _pq_light(np.where(code < knee, code, spline) * top)
    return root, np.divide(compressed, light, out=np.ones_like(light), where=light > 0)


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq_light(code: NDArray[Any]) -> NDArray[Any]:
    """SMPTE ST 2084: cd/m² of a code value from 0 to 1."""
    power = code ** (1 / _M2)
    light: NDArray[Any] = 10000 * ((power - _C1).clip(0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return light


def _pq_code(light: NDArray[Any]) -> NDArray[Any]:
    power = (light / 10000) ** _M1
    code: NDArray[Any] = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return code
