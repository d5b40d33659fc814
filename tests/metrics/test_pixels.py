"""L1, PSNR and SSIM: golden values, scikit-image, axioms, bad input."""

import numpy as np
import pytest
from emojibench_metrics.interface import ClipArrays
from emojibench_metrics.l1 import L1, l1
from emojibench_metrics.psnr import HIGHEST, Psnr, psnr
from emojibench_metrics.ssim import Ssim, ssim
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_recipes import golden, noisy, picture, picture_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}

# seed, height, width, change, l1, psnr, ssim (Wang), ssim (uniform 7x7)
CASES = [
    (1, 64, 64, "noise", 0.03983513327205882, 26.71456841964932, 0.9109650868048652, 0.9345332246249579),
    (1, 64, 64, "shift3", 0.1556436376633987, 14.213188425156629, 0.5396487107983732, 0.5794594194632673),
    (2, 256, 256, "noise", 0.03982547934538399, 26.72965526546243, 0.7616392296003195, 0.7807699462397225),
    (2, 256, 256, "shift3", 0.06691966337316176, 20.793585922941627, 0.2886300373747058, 0.3423886489497992),
    (3, 96, 128, "noise", 0.03979630480664488, 26.72950531256712, 0.8199911360273914, 0.8482771551603658),
    (3, 96, 128, "shift3", 0.08391756876361657, 18.72370694428932, 0.46255117340728374, 0.5294125199821217),
]


@pytest.mark.parametrize(("seed", "height", "width", "change", "d1", "db", "wang", "uniform"), CASES)
def test_golden_values(seed, height, width, change, d1, db, wang, uniform):
    a = picture(seed, height, width)
    b = noisy(seed, a) if change == "noise" else np.roll(a, 3, axis=1)
    assert l1(a, b) == pytest.approx(d1, abs=1e-9)
    assert psnr(a, b) == pytest.approx(db, abs=1e-9)
    assert ssim(a, b) == pytest.approx(wang, abs=1e-9)
    assert ssim(a, b, "uniform7") == pytest.approx(uniform, abs=1e-9)


@pytest.mark.parametrize("name", ["ex_p0.png", "ex_p1.png"])
def test_golden_photographs(name):
    a, b = picture_file("ex_ref.png"), picture_file(name)
    (case,) = (c["values"] for c in golden("image_pair_metrics")["cases"] if c.get("b") == name)
    assert l1(a, b) == pytest.approx(case["l1_01"], abs=1e-9)
    assert psnr(a, b) == pytest.approx(case["psnr_db"], abs=1e-9)
    assert ssim(a, b) == pytest.approx(case["ssim_skimage_gauss_wang"], abs=1e-9)
    assert ssim(a, b, "uniform7") == pytest.approx(case["ssim_skimage_uniform7"], abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(11, 40), st.integers(11, 40), st.integers(1, 255))
def test_equal_to_scikit_image_on_anything(seed, height, width, contrast):
    r = np.random.default_rng(seed)
    a, b = (r.integers(0, contrast + 1, (height, width, 3), dtype=np.uint8) for _ in range(2))
    x, y = a / 255, b / 255
    wang = structural_similarity(x, y, channel_axis=-1, data_range=1.0, **WANG)
    uniform = structural_similarity(x, y, channel_axis=-1, data_range=1.0)
    assert ssim(a, b) == pytest.approx(wang, abs=1e-9)
    assert ssim(a, b, "uniform7") == pytest.approx(uniform, abs=1e-9)
    if not np.array_equal(a, b):
        expected = min(peak_signal_noise_ratio(x, y, data_range=1.0), HIGHEST)
        assert psnr(a, b) == pytest.approx(expected, abs=1e-9)
    assert l1(a, b) == pytest.approx(np.abs(x - y).mean(), abs=1e-12)


videos = st.builds(
    lambda seed, frames: np.random.default_rng(seed).integers(0, 256, (frames, 16, 14, 3), dtype=np.uint8),
    st.integers(0, 10**6),
    st.integers(1, 5),
)


@settings(max_examples=20, deadline=None)
@given(videos)
def test_identity(a):
    assert l1(a, a) == 0
    assert psnr(a, a) == pytest.approx(HIGHEST) == pytest.approx(58.92, abs=0.01)
    assert ssim(a, a) == ssim(a, a, "uniform7") == pytest.approx(1, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(videos, st.integers(0, 10**6))
def test_symmetry_and_independence_of_batching(a, seed):
    b = np.random.default_rng(seed).integers(0, 256, a.shape, dtype=np.uint8)
    for metric in (l1, psnr, ssim, lambda x, y: ssim(x, y, "uniform7")):
        assert metric(a, b) == pytest.approx(metric(b, a), rel=1e-12)
        assert metric(a, b) == pytest.approx(
            np.mean([metric(x, y) for x, y in zip(a, b, strict=True)]), rel=1e-12
        )


def test_layout_in_memory_does_not_matter():
    a = picture(7, 40, 48)
    b = noisy(7, a)
    views = [x[::-1].transpose(1, 0, 2) for x in (a, b)]
    for metric in (l1, psnr, ssim, lambda x, y: ssim(x, y, "uniform7")):
        assert metric(*views) == pytest.approx(metric(*map(np.ascontiguousarray, views)), rel=1e-12)


def test_monotone_in_corruption():
    a = picture(5, 64, 64)
    noise = np.random.default_rng(0).standard_normal(a.shape)
    worse = [np.clip(a + s * noise, 0, 255).astype(np.uint8) for s in (2, 8, 20, 60)]
    for metric, sign in ((l1, 1), (psnr, -1), (ssim, -1)):
        values = [sign * metric(a, b) for b in worse]
        assert values == sorted(values)
        assert len(set(values)) == 4


def test_black_against_white_are_the_ends():
    black, white = np.zeros((2, 16, 16, 3), np.uint8), np.full((2, 16, 16, 3), 255, np.uint8)
    assert l1(black, white) == 1
    assert psnr(black, white) == 0
    assert ssim(black, white) == pytest.approx(0, abs=1e-3)


def test_metric_objects_agree_with_functions_and_count_frames():
    a = np.stack([picture(s, 32, 40) for s in (1, 2, 3)])
    b = np.roll(a, 2, axis=2)
    clip = ClipArrays(generated=a, truth=b)
    measured = {}
    for metric in (L1, Psnr, Ssim):
        measured |= metric(_no_weights).measure(clip)
    assert {figure.n for figure in measured.values()} == {3}
    assert measured["l1"].value == l1(a, b)
    assert measured["psnr"].value == psnr(a, b)
    assert measured["ssim"].value == ssim(a, b)
    assert measured["ssim_u7"].value == ssim(a, b, "uniform7")


def test_without_truth_every_column_is_undefined_with_a_reason():
    for metric in (L1, Psnr, Ssim):
        figures = metric(_no_weights).measure(ClipArrays(np.zeros((1, 16, 16, 3), np.uint8)))
        assert set(figures) == {traits.name for traits in metric.traits}
        assert all(f.value is None and f.reason == "no ground truth" for f in figures.values())


def test_bad_input_says_what_was_expected():
    a = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match="different shape"):
        l1(a, a[:1])
    with pytest.raises(ValueError, match=r"expected uint8 RGB .* got float64"):
        ssim(a / 255, a)
    with pytest.raises(ValueError, match="smaller than the 11x11 window"):
        ssim(a[:, :8, :8], a[:, :8, :8])
    with pytest.raises(ValueError, match="no frames"):
        psnr(a[:0], a[:0])


def _no_weights(name):
    raise AssertionError(f"asked for weights {name}")
