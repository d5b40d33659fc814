from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference_model.sampler import Guided, blend_weights, overlapping_windows, windows
from reference_model.schedule import ddim


@given(st.integers(1, 300), st.integers(1, 32), st.data())
def test_windows_cover_every_frame_and_are_all_full(frames: int, length: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, length - 1))
    spans = windows(frames, length, overlap)
    assert {f for span in spans for f in span} == set(range(frames))
    assert all(len(span) == min(length, frames) for span in spans)
    assert all(a.start < b.start and b.start <= a.stop - overlap for a, b in pairwise(spans))


def test_a_benchmark_clip_takes_five_windows() -> None:
    assert [s.start for s in windows(64, 16, 4)] == [0, 12, 24, 36, 48]


@pytest.mark.parametrize("bad", [(0, 4, 1), (5, 4, 4), (5, 4, -1)])
def test_impossible_windows_are_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        windows(*bad)


def test_blend_weights_are_positive_symmetric_and_peak_in_the_middle() -> None:
    weights = blend_weights(16)
    assert (weights > 0).all()
    torch.testing.assert_close(weights, weights.flip(0))
    assert weights.argmax() in (7, 8)


def test_windows_that_agree_give_the_result_of_one_pass() -> None:
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 1, 2, 10, 2, 2)
    seen: list[tuple[int, int]] = []

    def predict(noisy: torch.Tensor, t: torch.Tensor, frames: range) -> torch.Tensor:
        alpha = ddim().alphas_cumprod[t]
        return (alpha.sqrt() * noisy - clean[:, :, frames.start : frames.stop]) / (1 - alpha).sqrt()

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    result = overlapping_windows(predict, noise, ddim(5), length=4, overlap=2, progress=note)
    torch.testing.assert_close(result, clean, atol=1e-4, rtol=1e-4)
    assert seen == [(k + 1, 20) for k in range(20)]


class _Rows:
    """Predicts 1 for unconditional and 2 for conditional rows."""

    def denoise(self, noisy: torch.Tensor, t: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        values = torch.tensor([1.0, 2.0])[-len(noisy) :]
        return values.view(-1, 1, 1, 1, 1) * torch.arange(4.0).view(1, 1, 1, 2, 2).expand_as(noisy)


def test_guidance_by_hand() -> None:
    noisy, landmarks = torch.zeros(1, 1, 3, 2, 2), torch.zeros(1, 1, 3, 2, 2)
    ramp = torch.arange(4.0).view(1, 1, 1, 2, 2).expand_as(noisy)
    t = torch.tensor(5)
    rows = _Rows()
    torch.testing.assert_close(Guided(rows, landmarks, 3.5)(noisy, t, range(3)), 4.5 * ramp)  # type: ignore[arg-type]
    torch.testing.assert_close(Guided(rows, landmarks, 1.0)(noisy, t, range(3)), 2 * ramp)  # type: ignore[arg-type]
    rescaled = Guided(rows, landmarks, 3.5, rescale=1.0)(noisy, t, range(3))  # type: ignore[arg-type]
    torch.testing.assert_close(rescaled, 2 * ramp)
