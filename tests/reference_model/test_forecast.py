"""Whole steps predicted outside the network, other solvers, and recipes of all of them."""

import gc
from weakref import ref

import pytest
import torch
from fye_faster.accel import presets
from fye_faster.accel.accelerator import AcceleratorConfig, ClipInfo, Composed
from fye_faster.accel.forecast import Forecast, Forecaster, GuidanceShare, Quantity, SharedGuidance
from fye_faster.accel.presets import PRESETS, preset
from fye_faster.accel.tic import Adaptive, TaylorCacheConfig, explicit, uniform
from fye_faster.diffusion.sampler import Guided, progressive
from fye_faster.diffusion.schedule import ddim
from fye_faster.diffusion.solvers import SOLVERS, solver
from fye_faster.nets.animator import Animator
from fye_faster.presets import Preset
from torch import Tensor

STEPS = 6
SHAPE = (1, 2, 3, 4, 4)


def noisy(step: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(step))


class Polynomial:
    """Rows whose clean latents (v, guess) are a polynomial of the step, whatever the noisy latents are."""

    def __init__(self, residual: float | None, degree: int) -> None:
        self.degree, self.calls = degree, []
        self.quantity = Quantity(residual, ddim(STEPS).timesteps)

    def value(self, step: int, row: int) -> Tensor:
        return torch.full(SHAPE, float(row + 1 + (row + 1) * step**self.degree / 10))

    def __call__(self, latents: Tensor, step: int, count: int) -> tuple[Tensor, ...]:
        self.calls.append((step, count))
        wanted = [self.value(step, row) for row in (0, 1)[-count:]]
        return tuple(self.quantity.to_v(q, latents, step) for q in wanted)


@pytest.mark.parametrize("residual", [None, 0.0, 0.1, 1.0])
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_polynomials_of_the_order_are_exact(residual: float | None, degree: int) -> None:
    rows = Polynomial(residual, degree)
    full = tuple(range(degree + 1))
    config = Forecast(explicit(STEPS, full), degree, "newton", residual)
    forecast = Forecaster(config, rows, ddim(STEPS).timesteps)
    for step in range(STEPS):
        got = forecast(noisy(step), step, 2)
        wanted = Polynomial(residual, degree)(noisy(step), step, 2)
        for a, b in zip(got, wanted, strict=True):
            assert torch.allclose(a, b, atol=1e-4)
    assert rows.calls == [(step, 2) for step in full]
    assert forecast.bytes == 0  # nothing outlives the last step


class Rows(Guided):
    """Guidance at the first four steps over rows that are given."""

    def __init__(self, rows: Polynomial) -> None:
        self.rows, self.timesteps, self.guided = rows, ddim(STEPS).timesteps, 4
        self.scale, self.rescale = 3.5, 0.0


@pytest.mark.parametrize("residual", [None, 0.0, 0.1])
def test_the_guidance_difference_is_extrapolated(residual: float | None) -> None:
    rows = Polynomial(residual, 1)
    guided = Rows(rows)
    shared = SharedGuidance(GuidanceShare((0, 1), 1, residual), guided, guided.rows)
    for step in range(STEPS):
        assert torch.allclose(shared(noisy(step), step), guided(noisy(step), step), atol=1e-4)
    ours = rows.calls[::2]
    assert ours == [(0, 2), (1, 2), (2, 1), (3, 1), (4, 1), (5, 1)]


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_reach_the_data_whose_v_they_are_given(name: str) -> None:
    scheduler = solver(name, 10)
    data, latents = torch.full(SHAPE, 0.5), noisy(0)
    clean = Quantity(0.0, scheduler.timesteps)
    for step, t in enumerate(scheduler.timesteps):
        latents = scheduler.step(clean.to_v(data, latents, step), t, latents).prev_sample
    assert torch.allclose(latents, data, atol=1e-3)


@pytest.fixture(scope="module")
def animator(tiny: Preset) -> Animator:
    torch.manual_seed(2)
    return Animator(tiny).eval().requires_grad_(False)


def sample(animator: Animator, tiny: Preset, recipe: AcceleratorConfig) -> tuple[Tensor, int]:
    """Latents of a clip of two stages, and how many rows the network computed in full."""
    side, channels, frames = tiny.latent_size, tiny.latent_channels, 6
    generator = torch.Generator().manual_seed(3)
    portrait = torch.randn(1, channels, side, side, generator=generator)
    maps = torch.rand(frames, 3, tiny.resolution, tiny.resolution, generator=generator)
    noise = torch.randn(1, channels, frames, side, side, generator=generator)
    animator.set_reference(animator.encode_reference(portrait, maps[:1]))
    accelerator = Composed(recipe)
    scheduler = accelerator.scheduler(recipe.steps)

    def condition(chosen: list[int], anchors: Tensor | None) -> object:
        still = portrait[:, :, None].expand(-1, -1, len(chosen), -1, -1)
        condition = animator.encode_condition(maps[chosen][None], portrait, still, anchors)
        guided = Guided(animator, condition, scheduler.timesteps, 3.5, 0.5, 0.0)
        windows.append(ref(guided))
        return accelerator.around(guided, chosen)

    windows, rows = [], []
    middle = animator.denoiser.mid_block.resnets[0]
    hook = middle.register_forward_hook(lambda _m, _i, out: rows.append(len(out) if out.numel() else 0))
    clip = ClipInfo(frames, (side, side), lambda chosen: maps[chosen])
    with accelerator.attached(animator.denoiser, clip):
        result = progressive(condition, noise, scheduler, length=4, progress=lambda _d, _t: None)
        assert accelerator.cached_bytes() == 0
        gc.collect()
        # Or else the conditions of all windows of a long clip would pile up.
        assert [window() for window in windows] == [None] * len(windows)
    hook.remove()
    assert result.isfinite().all()
    return result, sum(rows)


ALL = explicit(STEPS, range(STEPS))
SOME = explicit(STEPS, (0, 1, 4))


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(
    "cache",
    [
        Forecast(ALL, residual=None),
        Forecast(ALL),
        TaylorCacheConfig(ALL, scope="head"),
    ],
)
def test_a_recipe_without_skips_changes_nothing(
    animator: Animator, tiny: Preset, name: str, cache: Forecast | TaylorCacheConfig
) -> None:
    plain, _ = sample(animator, tiny, AcceleratorConfig(STEPS, name))
    same, _ = sample(animator, tiny, AcceleratorConfig(STEPS, name, cache))
    assert torch.equal(plain, same)


@pytest.mark.parametrize("cache", [Forecast(SOME), TaylorCacheConfig(SOME, scope="head", mask="none")])
def test_a_recipe_computes_what_it_says(
    animator: Animator, tiny: Preset, cache: Forecast | TaylorCacheConfig
) -> None:
    _, whole = sample(animator, tiny, AcceleratorConfig(STEPS))
    _, skipping = sample(animator, tiny, AcceleratorConfig(STEPS, "ddim", cache))
    _, sharing = sample(animator, tiny, AcceleratorConfig(STEPS, "ddim", cache, GuidanceShare((0,))))
    # Each row costs the same: 3 of 6 steps are guided; of the full ones, first both of 0 and 1, then 0 alone.
    assert (whole * 5, whole * 4) == (skipping * 9, sharing * 9)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_cost_what_their_schedules_say(animator: Animator, tiny: Preset, name: str) -> None:
    recipe = PRESETS[name]
    full = recipe.cache.schedule.full if recipe.cache else range(recipe.steps)
    guided = recipe.guidance.steps if recipe.guidance else [step for step in full if 2 * step < recipe.steps]
    _, whole = sample(animator, tiny, AcceleratorConfig(30))
    _, rows = sample(animator, tiny, recipe)
    # The sampler guides the first half of the steps: 45 rows, of which the preset computes these.
    assert rows * 45 == whole * (len(full) + len(guided))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_stand_for_thirty_steps_however_many_they_take(name: str) -> None:
    accelerator = preset(name, 30)
    assert len(accelerator.scheduler(30).timesteps) == PRESETS[name].steps
    with pytest.raises(ValueError, match="steps: this accelerator is made for 30, got 12"):
        accelerator.scheduler(12)
    with pytest.raises(ValueError, match=f"cache: {name} is made for 30 steps, got 12; expected none"):
        preset(name, 12)


def test_presets_go_by_their_old_names_too(caplog: pytest.LogCaptureFixture) -> None:
    presets._say_renamed.cache_clear()
    assert preset("lossless", 30).label == preset("near-lossless", 30).label
    preset("lossless", 30)
    (line,) = caplog.messages
    assert line.startswith("cache: preset lossless is called near-lossless now, because its frames differ")


def test_unknown_presets_are_refused() -> None:
    assert list(PRESETS) == ["near-lossless", "balanced", "fast"]
    with pytest.raises(
        ValueError, match="cache: expected one of none, near-lossless, balanced, fast, got 'best'"
    ):
        preset("best", 30)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Forecast(SOME, order=5), "order: expected O from 0 to 4, got 5"),
        (lambda: Forecast(SOME, residual=2), "residual: expected 0 to 1, or None for v, got 2"),
        (lambda: Forecast(SOME, predictor="spline"), "predictor: expected one of eq4"),
        (lambda: GuidanceShare((1, 2)), "guidance: expected ascending steps"),
        (lambda: GuidanceShare((0, 2, 2)), "guidance: expected ascending steps"),
        (lambda: AcceleratorConfig(STEPS, "euler"), "solver: expected one of ddim, dpm"),
        (
            lambda: AcceleratorConfig(7, "ddim", Forecast(SOME)),
            "steps: this accelerator is made for 6, got 7",
        ),
        (
            lambda: AcceleratorConfig(STEPS, "ddim", Forecast(SOME), GuidanceShare((0, 2))),
            "only run at full steps",
        ),
        (
            lambda: AcceleratorConfig(
                STEPS, "ddim", TaylorCacheConfig(Adaptive(STEPS, 0.1, 2)), GuidanceShare((0,))
            ),
            "of a fixed schedule",
        ),
        (
            lambda: Composed(AcceleratorConfig(STEPS)).scheduler(5),
            "steps: this accelerator is made for 6, got 5",
        ),
    ],
)
def test_bad_recipes_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_labels_tell_recipes_apart() -> None:
    recipes = [
        AcceleratorConfig(STEPS),
        AcceleratorConfig(STEPS, "unipc"),
        AcceleratorConfig(STEPS, cache=Forecast(SOME)),
        AcceleratorConfig(STEPS, cache=Forecast(SOME, residual=None)),
        AcceleratorConfig(STEPS, cache=Forecast(SOME, order=1)),
        AcceleratorConfig(STEPS, cache=TaylorCacheConfig(uniform(STEPS, 3))),
        AcceleratorConfig(STEPS, cache=Forecast(SOME), guidance=GuidanceShare((0, 1))),
    ]
    assert len({Composed(recipe).label for recipe in recipes}) == len(recipes)
