"""Whatever colours a file stores, pictures come out in sRGB on white."""

import io
import zlib

import numpy as np
import pytest
from foreign import encode, head
from PIL import Image as Pillow
from PIL import ImageCms

from emojibench.errors import MediaError
from emojibench.media import read_image, read_video, video_info, write_preview

HLG, PQ, BT709 = 18, 16, 1


def grey_10_bit(code, side=64):
    """Frames of one grey, a code value from 0 to 1 in limited range."""
    luma = np.full((side, side), round(64 + 876 * code), np.uint16)
    return [np.concatenate([luma, np.full((side // 2, side), 512, np.uint16)])] * 3


def test_4_2_0_is_converted_without_a_bias(tmp_path):
    video = head()
    copy = encode(tmp_path / "copy.mp4", video, options={"qp": "0"})
    write_preview(tmp_path / "preview.mp4", video, 25, watermark=False)
    for path, most in ((copy, 1.5), (tmp_path / "preview.mp4", 2.5)):
        error = read_video(path).astype(int) - video
        assert abs(error.mean()) < 0.3  # a level too dark before
        assert np.abs(error).mean() < most


# BT.2408, table 1: what an 18 % grey card (26 cd/m²) and diffuse white (203 cd/m²) have as code values.
@pytest.mark.parametrize(("transfer", "card", "white"), [(HLG, 0.38, 0.75), (PQ, 0.38, 0.58)])
def test_high_dynamic_range_is_tone_mapped(tmp_path, transfer, card, white):
    seen = []
    for code in (0.0, card, white, 1.0):
        path = encode(
            tmp_path / f"{code}.mp4",
            grey_10_bit(code),
            pixels="yuv420p10le",
            given="yuv420p10le",
            options={"qp": "0"},
            color_trc=transfer,
            color_primaries=9,
            colorspace=9,
            color_range=1,
        )
        seen.append(read_video(path)[1].mean())
    assert video_info(path).notes == (
        f"high dynamic range ({'HLG' if transfer == HLG else 'PQ'}): tone-mapped to sRGB by BT.2390",
    )
    assert seen[0] < 1
    assert seen[1] == pytest.approx(255 * (26 / 203) ** (1 / 2.4), abs=3)
    assert 205 < seen[2] < 250  # diffuse white keeps room for what is brighter
    assert seen[3] > 254


def test_wide_gamut_is_brought_to_srgb(tmp_path):
    # sRGB's red in Display P3.
    red = np.full((4, 32, 32, 3), (234, 51, 35), np.uint8)
    path = encode(
        tmp_path / "p3.mkv", red, codec="libx264rgb", pixels="rgb24", options={"qp": "0"}, color_primaries=12
    )
    assert np.abs(read_video(path)[0, 0, 0].astype(int) - (255, 0, 0)).max() < 12
    assert video_info(path).notes == ("wide gamut (Display P3): brought to sRGB",)


@pytest.mark.parametrize("field", [{"color_trc": 8}, {"color_trc": 9}, {"colorspace": 8}])
def test_colours_that_are_not_read_are_refused(tmp_path, field):
    path = encode(tmp_path / "odd.mp4", head(4), **field)
    with pytest.raises(
        MediaError, match=r"odd.mp4: its .* \(H.273 number \d+\) is not read; convert it to BT.709"
    ):
        read_video(path)


def swapped_profile():
    """An ICC profile in which red and blue have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tttt").replace(b"bXYZ", b"rXYZ").replace(b"tttt", b"bXYZ")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_icc_profiles_are_applied(tmp_path, mode):
    picture = Pillow.new("RGBA", (8, 8), (200, 30, 20, 255))
    picture.convert(mode).save(tmp_path / "swapped.png", icc_profile=swapped_profile())
    red, green, blue = map(int, read_image(tmp_path / "swapped.png")[0, 0])
    assert blue > 190 > red
    assert green < 60
    assert red < 60


def test_an_srgb_profile_changes_nothing_and_a_damaged_one_is_named(tmp_path):
    noise = Pillow.effect_noise((64, 64), 90).convert("RGB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise.save(tmp_path / "plain.png")
    noise.save(tmp_path / "tagged.png", icc_profile=profile)
    noise.save(tmp_path / "broken.png", icc_profile=profile[:200])
    assert np.array_equal(read_image(tmp_path / "tagged.png"), read_image(tmp_path / "plain.png"))
    with pytest.raises(MediaError, match=r"broken.png: .*ICC profile is damaged"):
        read_image(tmp_path / "broken.png")


def test_transparency_is_laid_on_white_wherever_it_is(tmp_path):
    rgba = np.zeros((3, 32, 32, 4), np.uint8)
    rgba[..., 0], rgba[:, :, 16:, 3], rgba[:, :, 8:16, 3] = 200, 255, 51
    Pillow.fromarray(rgba[0]).save(tmp_path / "a.png")
    expected = read_image(tmp_path / "a.png")
    assert expected[0, [0, 10, 20]].tolist() == [[255] * 3, [244, 204, 204], [200, 0, 0]]
    for name, codec, pixels in (
        ("a.mov", "png", "rgba"),
        ("a.mkv", "ffv1", "bgra"),
        ("b.mov", "qtrle", "argb"),
    ):
        path = encode(tmp_path / name, rgba, codec=codec, pixels=pixels, given="rgba")
        assert np.array_equal(read_video(path)[0], expected)
        assert video_info(path).notes == ("transparency is laid on white",)
    webm = encode(
        tmp_path / "a.webm",
        rgba,
        codec="libvpx-vp9",
        pixels="yuva420p",
        given="rgba",
        options={"auto-alt-ref": "0", "lossless": "1"},
    )
    assert np.abs(read_video(webm)[0].astype(int) - expected)[:, [0, 28]].max() < 4


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_primaries_of_pictures_without_a_profile_count(tmp_path, mode):
    buffer = io.BytesIO()
    Pillow.new(mode, (4, 4), (200, 100, 50, 255)[: len(mode)]).save(buffer, "png")
    data = buffer.getvalue()
    said = b"cICP" + bytes([12, 13, 0, 1])
    chunk = (4).to_bytes(4, "big") + said + zlib.crc32(said).to_bytes(4, "big")
    (tmp_path / "p3.png").write_bytes(data[:33] + chunk + data[33:])
    assert abs(read_image(tmp_path / "p3.png")[0, 0].astype(int) - (214, 93, 31)).max() <= 1


def test_pictures_of_high_dynamic_range_are_refused(tmp_path):
    buffer = io.BytesIO()
    Pillow.new("RGB", (4, 4)).save(buffer, "png")
    data = buffer.getvalue()
    chunk = (4).to_bytes(4, "big") + b"cICP" + bytes([9, 16, 0, 1]) + bytes(4)
    (tmp_path / "pq.png").write_bytes(data[:33] + chunk + data[33:])
    with pytest.raises(MediaError, match=r"pq.png: a picture of high dynamic range"):
        read_image(tmp_path / "pq.png")
