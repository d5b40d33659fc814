"""`fye-faster` and the rivals of its caches: one table, a line for each method's options and how it is made faster.

Each is an entry point. All of them sample the same model (`reference_model`) and take its options besides their own.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from emojibench_baselines.fye import schedules
from emojibench_baselines.fye.options import Kind
from emojibench_baselines.fye.reference_model import Given, Spec

if TYPE_CHECKING:
    from fye_faster.accel.accelerator import Accelerator

_TIC_FEATURES: Mapping[str, Kind] = {
    "order": int, "boundary": int, "mask": str, "scope": str, "cut": int, "predictor": str, "quantity": str,
}  # fmt: skip
"""Options that are parameters of `TaylorCacheConfig`."""


def _preset(given: Given) -> "Accelerator":
    from fye_faster.accel import presets

    name = given.options.get("cache")
    if given.options.get("compile"):
        return presets.compiled(name, given.steps, given.unet)
    return presets.preset(name, given.steps)


def _plain(_given: Given) -> "Accelerator":
    from fye_faster.accel.accelerator import Accelerator

    return Accelerator()


def _solver(name: Any) -> "Callable[[Given], Accelerator]":
    def make(given: Given) -> "Accelerator":
        from fye_faster.accel.accelerator import AcceleratorConfig, Composed

        return Composed(AcceleratorConfig(given.steps, name))

    return make


def _tic(
    features: Mapping[str, Kind],
    schedule: Callable[[Mapping[str, Any], int], Any] = schedules.tic,
    **fixed: Any,
) -> "Callable[[Given], Accelerator]":
    """A Taylor cache whose defaults are `fixed`."""

    def make(given: Given) -> "Accelerator":
        from fye_faster.accel.accelerator import TaylorCached
        from fye_faster.accel.tic import TaylorCacheConfig

        chosen = {name: value for name, value in given.options.items() if name in features}
        return TaylorCached(TaylorCacheConfig(schedule(given.options, given.steps), **{**fixed, **chosen}))

    return make


def _deepcache(given: Given) -> "Accelerator":
    """The Taylor cache of order 0 and scope `deep`: what comes from below a skip connection is kept."""
    cut = given.options.get("cut", 0)
    if not 0 <= cut <= 2:
        raise ValueError(f"cut: expected 0 to 2, got {cut}")
    return _tic({"cut": int}, schedules.deepcache, scope="deep", order=0, mask="none")(given)


_PAB_RANGES = {"spatial": 2, "cross": 6, "temporal": 4}


def _pab(given: Given) -> "Accelerator":
    from fye_faster.accel.rivals.broadcast import Broadcast

    ranges = {kind: given.options.get(kind, default) for kind, default in _PAB_RANGES.items()}
    return Broadcast(ranges, given.options.get("low", 100), given.options.get("high", 800))


def _tome(given: Given) -> "Accelerator":
    from fye_faster.accel.rivals.merging import TokenMerged

    return TokenMerged(given.options.get("ratio", 0.5), given.options.get("downsample", 1))


def _prune(given: Given) -> "Accelerator":
    from fye_faster.accel.rivals.pruning import TokenPruned

    options = given.options
    return TokenPruned(options.get("ratio", 0.5), options.get("downsample", 1), options.get("noise", 0.1))


FASTER = Spec(
    "fye-faster",
    """FYE-Faster: latent diffusion with reference attention, landmark guidance and motion modules.

    Options: `cache`: a preset of `fye_faster.accel.presets` or `none`; `balanced` by default, `none` where `steps` are
    others than it is made for. `compile` (false): compile the UNet at the first clip, which takes minutes and makes the
    others faster; needs a C++ compiler.
    """,
    _preset,
    {"cache": str, "compile": bool},
)
HALF = Spec("fye+half", "FYE-Faster with 15 DDIM steps (`steps`) instead of 30.", _plain, steps=15)
DPM = Spec("fye+dpm", "FYE-Faster with 15 steps (`steps`) of DPM-Solver++(2M).", _solver("dpm++"), steps=15)
UNIPC = Spec(
    "fye+unipc", "FYE-Faster with 15 steps (`steps`) of UniPC of second order.", _solver("unipc"), steps=15
)
TIC = Spec(
    "fye+tic",
    """FYE-Faster with the Taylor-Interpolated Cache: most steps are extrapolated, by default 20 of 30.

    Options: those of `schedules.tic`, and by their names those of `TaylorCacheConfig`. Caching attention alone, all
    that the paper's text names, saves too little for the paper's speedup (docs/acceleration_results.md); on `mini` only
    scope `head` reaches it, which is the default here.
    """,
    _tic(_TIC_FEATURES, scope="head"),
    {**schedules.TIC_OPTIONS, **_TIC_FEATURES},
)
_REUSED: Mapping[str, Kind] = {"scope": str, "cut": int, "quantity": str}
REUSE = Spec(
    "fye+reuse",
    """FYE-Faster that repeats the features of the last full step, by default at 20 of 30 steps.

    TIC without Taylor terms, to tell what extrapolation is worth at the same cost. Options: schedule and scope as for
    `fye+tic`.
    """,
    _tic(_REUSED, scope="head", order=0, mask="none"),
    {**schedules.TIC_OPTIONS, **_REUSED},
)
DEEPCACHE = Spec(
    "fye+deepcache",
    """FYE-Faster with DeepCache.

    Options: `cut` (0 to 2, the skip connection, "branch" in the paper; 0), and those of `schedules.deepcache`.
    """,
    _deepcache,
    {**schedules.DEEPCACHE_OPTIONS, "cut": int},
)
PAB = Spec(
    "fye+pab",
    """FYE-Faster with Pyramid Attention Broadcast.

    Options: for how many steps the output of `spatial` (2), `cross` (6) and `temporal` (4) attention serves, between
    the timesteps `low` (100) and `high` (800).
    """,
    _pab,
    {**dict.fromkeys(_PAB_RANGES, int), "low": int, "high": int},
)
TOME = Spec(
    "fye+tome",
    """FYE-Faster with token merging.

    ToMe-SD: similar tokens are merged around spatial self-attention. Options: `ratio` of tokens merged (0.5, at most
    0.75); `downsample` of the coarsest grid concerned (1, 2, 4, 8; 1 is the finest with attention).
    """,
    _tome,
    {"ratio": float, "downsample": int},
)
PRUNE = Spec(
    "fye+prune",
    """FYE-Faster with token pruning.

    SiTo: similar tokens are left out of spatial self-attention. Options: `ratio` of tokens pruned (0.5, at most 0.75);
    `downsample` of the coarsest grid concerned (1, 2, 4, 8; 1 is the finest with attention); `noise` in the choice of
    base tokens (0.1).
    """,
    _prune,
    {"ratio": float, "downsample": int, "noise": float},
)
