from itertools import pairwise

import pytest
import torch
from fye_faster.diffusion.sampler import (
    Condition,
    Guided,
    Predict,
    blend_weights,
    overlapping_windows,
    pieces,
    plan,
    progressive,
    spans,
)
from fye_faster.diffusion.schedule import ddim
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 300), st.integers(2, 32), st.data())
def test_windows_cover_every_frame_and_are_full(frames: int, length: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, length - 1))
    found = spans(frames, length, overlap)
    assert {f for span in found for f in span} == set(range(frames))
    assert all(len(span) == min(length, frames) for span in found)
    assert all(a.start < b.start and b.start <= a.stop - overlap for a, b in pairwise(found))


@given(st.integers(1, 300), st.integers(1, 32))
def test_windows_side_by_side_hold_every_frame_once(frames: int, length: int) -> None:
    found = pieces(frames, length)
    assert [f for span in found for f in span] == list(range(frames))
    assert all(len(span) == length for span in found[:-1])


def test_a_benchmark_clip_takes_five_windows() -> None:
    assert [s.start for s in spans(64, 16, 4)] == [0, 12, 24, 36, 48]


@pytest.mark.parametrize("bad", [(0, 4, 1), (5, 4, 4), (5, 4, -1)])
def test_impossible_windows_are_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        spans(*bad)


def test_blend_weights_are_positive_symmetric_and_peak_in_the_middle() -> None:
    weights = blend_weights(16)
    assert (weights > 0).all()
    torch.testing.assert_close(weights, weights.flip(0))
    assert weights.argmax() in (7, 8)
    bend = weights.log().diff().diff()
    torch.testing.assert_close(bend, torch.full_like(bend, -1 / (0.15 * 16) ** 2))  # Gaussian
    shares = weights[:4] / (weights[:4] + weights[-4:])
    torch.testing.assert_close(shares, torch.tensor([0.042, 0.261, 0.739, 0.958]), atol=1e-3, rtol=0)


def test_windows_that_agree_give_the_result_of_one_pass() -> None:
    clean, noise, condition = oracle(10)
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    result = overlapping_windows(condition, noise, ddim(5), windows=spans(10, 4, 2), progress=note)
    torch.testing.assert_close(result, clean, atol=1e-4, rtol=1e-4)
    assert seen == [(k + 1, 20) for k in range(20)]


def oracle(frames: int, steps: int = 5) -> tuple[torch.Tensor, torch.Tensor, Condition]:
    """Clean latents, noise, and a condition whose predictions lead there; anchors must already be there."""
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 1, 2, frames, 2, 2)
    timesteps = ddim(steps).timesteps

    def condition(chosen: list[int], anchors: torch.Tensor) -> Predict:
        known = anchors[0, -1].amax((1, 2)).bool()
        torch.testing.assert_close(
            anchors[:, :-1, known], clean[:, :, chosen][:, :, known], atol=1e-4, rtol=1e-4
        )
        assert anchors.shape[2] == len(chosen)
        assert not anchors[:, :, ~known].any()  # nothing known is told as well, as in training

        def predict(noisy: torch.Tensor, step: int) -> torch.Tensor:
            alpha = ddim().alphas_cumprod[timesteps[step]]
            return (alpha.sqrt() * noisy - clean[:, :, chosen]) / (1 - alpha).sqrt()

        return predict

    return clean, noise, condition


@given(st.integers(1, 1200), st.integers(3, 32))
def test_the_progressive_plan_makes_every_frame_once_from_frames_made_before(
    frames: int, length: int
) -> None:
    made: set[int] = set()
    for window in plan(frames, length):
        assert len(window.frames) <= length
        assert window.frames == sorted(set(window.frames))
        known = {window.frames[i] for i in window.known}
        assert known <= made
        assert known in (set(), {window.frames[0], window.frames[-1]})
        new = set(window.frames) - known
        assert new
        assert not new & made
        made |= new
    assert made == set(range(frames))


def test_a_benchmark_clip_starts_with_keyframes() -> None:
    first, *rest = plan(64, 16)
    assert first.frames == [0, 13, 25, 38, 50, 63]
    assert first.known == ()
    assert [(w.frames[0], w.frames[-1], w.known) for w in rest[:2]] == [(0, 13, (0, 13)), (13, 25, (0, 12))]
    assert len(rest) == 5


@pytest.mark.parametrize("bad", [(0, 4), (5, 2)])
def test_impossible_plans_are_refused(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="length >= 3"):
        plan(*bad)


@pytest.mark.parametrize("frames", [1, 4, 5, 11, 40])
def test_progressive_sampling_reaches_the_clean_latents(frames: int) -> None:
    clean, noise, condition = oracle(frames)
    seen: list[tuple[int, int]] = []
    result = progressive(
        condition, noise, ddim(5), length=4, progress=lambda done, total: seen.append((done, total))
    )
    torch.testing.assert_close(result, clean, atol=1e-4, rtol=1e-4)
    total = 5 * len(plan(frames, 4))
    assert seen == [(k + 1, total) for k in range(total)]


class _Rows:
    """Predicts 1 for unconditional and 2 for conditional rows."""

    hidden = 0

    def drop_reference(self, unconditional: int) -> None:
        self.hidden = unconditional

    def denoise(self, noisy: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        assert len(noisy) == len(condition) == 1 + self.hidden
        values = torch.tensor([1.0, 2.0])[-len(noisy) :]
        return values.view(-1, 1, 1, 1, 1) * torch.arange(4.0).view(1, 1, 1, 2, 2).expand_as(noisy)


def test_guidance_by_hand() -> None:
    noisy = condition = torch.zeros(1, 1, 3, 2, 2)
    ramp = torch.arange(4.0).view(1, 1, 1, 2, 2).expand_as(noisy)

    def guided(step: int, scale: float, share: float = 1.0, rescale: float = 0.0) -> torch.Tensor:
        return Guided(_Rows(), condition, torch.arange(10), scale, share, rescale)(noisy, step)  # type: ignore[arg-type]

    torch.testing.assert_close(guided(5, 3.5), 4.5 * ramp)
    torch.testing.assert_close(guided(5, 1.0), 2 * ramp)
    torch.testing.assert_close(guided(5, 3.5, rescale=1.0), 2 * ramp)
    torch.testing.assert_close(guided(5, 3.5, share=0.6), 4.5 * ramp)
    torch.testing.assert_close(guided(6, 3.5, share=0.6), 2 * ramp)
