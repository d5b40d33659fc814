"""A denoiser as two compiled functions, one for full and one for skipped steps, with or without a Taylor cache.

A cache's bookkeeping (steps, windows, histories) is Python that no compiler should see. So inside the compiled
functions the cache's stand-ins talk to `_Ports`: features enter a skipped step as arguments and leave a full one as
results. The store itself predicts and records between the calls, guidance and solver go on eagerly: a few operations on
small tensors. Nothing in all that waits for the device.

Results differ from eager ones by rounding, so `Compiled.label` names it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode

from fye_faster.accel.accelerator import AcceleratorConfig, ClipInfo, Composed
from fye_faster.accel.tic import TaylorCache, TaylorCacheConfig
from fye_faster.accel.tic.layers import QUANTITIES, Patch, patches
from fye_faster.accel.tic.store import Store

_SHAPES = 64
"""Shapes and numbers of rows that one function is compiled for at most; torch's own limit is 8."""


def check(device: torch.device) -> None:
    """Compile something small and run it.

    Raises:
        ValueError: `torch.compile` does not work on this machine.
    """
    try:
        torch.compile(torch.sin, fullgraph=True)(torch.zeros(64, device=device))
    except Exception as error:  # whatever the tools that it calls stumble over
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"compile: torch.compile does not work here ({reason}); it needs a C++ compiler: install g++ or clang++, "
            "or name yours in the environment variable CXX; or leave compile out"
        ) from error


class _Ports:
    """The store of the stand-ins: keeps nothing, hands features in and out."""

    def __init__(self) -> None:
        self.full = True
        self.features: dict[str, Tensor] = {}

    def running_full(self) -> bool:
        """Whether this is a full step."""
        return self.full

    def record(self, name: str, _layout: str, feature: Tensor) -> None:
        """Take a feature out of a full step."""
        self.features[name] = feature

    def predict(self, name: str, _layout: str, _given: Tensor) -> Tensor:
        """Give a feature to a skipped step."""
        return self.features[name]


class CompiledDenoiser:
    """Takes a UNet's forward inside `running`; compiles at the first call of each shape and number of rows."""

    def __init__(self, unet: nn.Module, backend: str = "inductor", *, graphs: bool = False) -> None:
        """Take the UNet.

        Args:
            unet: of an animator, whose forward takes no context.
            backend: of `torch.compile`.
            graphs: record the steps as CUDA graphs, of inductor's code only. Launching a step of one guidance row
                takes longer than computing it at 256 px; a recorded step keeps the memory of its activations.
        """
        self.unet = unet
        self._eager = unet.forward
        self._ports, self._stand_ins = _Ports(), list[Patch]()
        self._store: Store | None = None
        self._scope: tuple[object, ...] = ()
        self._shapes: dict[str, tuple[int, torch.Size]] = {}
        fixed: dict[str, Any] = {"backend": backend, "fullgraph": True, "dynamic": False}
        self._recorded = graphs and backend == "inductor"
        mode = "reduce-overhead" if self._recorded else None
        self._full = _counted(self._run_full, torch.compile(self._run_full, **fixed, mode=mode))
        self._skipped = _counted(self._run_skipped, torch.compile(self._run_skipped, **fixed, mode=mode))

    def place(self, config: TaylorCacheConfig, store: Store) -> None:
        """Serve this cache from now on. Another of the same scope keeps the stand-ins, and so the compiled code.

        Raises:
            ValueError: a scope whose features are not maps.
        """
        if config.scope not in ("deep", "head"):
            raise ValueError(f"scope: expected deep or head, got {config.scope}")
        scope = config.scope, config.quantity or QUANTITIES[config.scope][0], config.cut
        if scope != self._scope:
            self._stand_ins, self._scope = patches(self.unet, *scope, self._ports), scope
        self._store = store
        store.modules = {patch.name for patch in self._stand_ins if patch.caches}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, calls of the UNet come here."""
        self.unet.forward = self
        for patch in self._stand_ins:
            patch.apply()
        try:
            yield
        finally:
            del self.unet.forward
            for patch in self._stand_ins:
                patch.remove()

    def __call__(self, joined: Tensor, t: Tensor, _context: None) -> "_Output":
        """As the UNet's forward."""
        store = self._store
        full = self._ports.full = store is None or store.running_full()
        if self._recorded:
            torch.compiler.cudagraph_mark_step_begin()
        if store is None or full:
            self._ports.features = {}
            v = self._full(joined, t)
            features, self._ports.features = self._ports.features, {}
            if store is not None:
                for name, feature in features.items():
                    self._shapes[name] = len(feature) // len(joined), feature.shape[2:]
                    store.record(name, "map", feature.clone() if self._recorded else feature)
        else:
            predicted = {}
            for name, (each, size) in self._shapes.items():
                given = joined.new_empty(each * len(joined), 0, *size)
                predicted[name] = store.predict(name, "map", given)
            v = self._skipped(joined, t, predicted)
        return _Output(v.clone() if self._recorded else v)  # the next replay writes to the same address

    def _run_full(self, joined: Tensor, t: Tensor) -> Tensor:
        v: Tensor = self._eager(joined, t, None).sample
        return v

    def _run_skipped(self, joined: Tensor, t: Tensor, features: dict[str, Tensor]) -> Tensor:
        self._ports.features = features
        v: Tensor = self._eager(joined, t, None).sample
        return v


def _counted(eager: Callable[..., Tensor], fast: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The compiled function, beside which the eager one runs while operations are counted: nobody sees into the former.

    Counted or not, the result is the compiled one's.
    """

    def run(*arguments: Any) -> Tensor:
        if _get_current_dispatch_mode() is not None:
            eager(*arguments)
        with _disable_current_modes(), torch._dynamo.config.patch(recompile_limit=_SHAPES):
            return fast(*arguments)

    return run


class _Output:
    """What diffusers' UNets return."""

    def __init__(self, sample: Tensor) -> None:
        self.sample = sample


class _CompiledCache(TaylorCache):
    """Attaches nothing by itself: `CompiledDenoiser` holds the stand-ins."""

    def __init__(self, config: TaylorCacheConfig, denoiser: CompiledDenoiser) -> None:
        super().__init__(config)
        denoiser.place(config, self._store)

    def attach(self, unet: nn.Module) -> None:
        """See `TaylorCache`; done by `CompiledDenoiser.running`."""

    def detach(self) -> None:
        """As `attach`."""


class Compiled(Composed):
    """A recipe on the compiled denoiser; the latest that was made is the one that works."""

    def __init__(
        self, recipe: AcceleratorConfig, denoiser: CompiledDenoiser, steps: int | None = None
    ) -> None:
        """Take a denoiser; recipes of the same scope, or that cache nothing inside the network, may share one.

        Args:
            recipe: solver, cache and shared guidance.
            denoiser: compiled.
            steps: as in `Composed`.

        Raises:
            ValueError: a cache inside the network whose features are not maps.
        """
        super().__init__(recipe, steps)
        self.label = f"{recipe.label}-compiled"
        self._denoiser = denoiser
        if self._features:
            self._features.cache = _CompiledCache(self._features.config, denoiser)

    @contextmanager
    def attached(self, denoiser: nn.Module, clip: ClipInfo) -> Iterator[None]:
        """See `Accelerator`."""
        with self._denoiser.running(), super().attached(denoiser, clip):
            yield
