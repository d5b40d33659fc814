"""Which modules of a UNet are cached, and what stands in for their forward while a cache is attached.

No copy of any UNet's forward: a skipped layer returns its input narrowed to no channels. The blocks' own loops carry
that through, concatenating it with skip connections at no cost, to the one module that puts the predicted feature
in its place.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from fye_faster.accel.tic.masks import Layout

Scope = Literal["attention", "transformer", "deep", "head"]
Quantity = Literal["residual", "features", "output"]

QUANTITIES: dict[Scope, tuple[Quantity, ...]] = {
    "attention": ("residual",),
    "transformer": ("residual", "features"),
    "deep": ("features",),
    "head": ("features", "output"),
}
"""What each scope can extrapolate, its default first."""

_SKIPPABLE = (ResnetBlock2D, Transformer2DModel, AnimateDiffTransformer3D, Downsample2D, Upsample2D)
_LISTS = ("resnets", "attentions", "motion_modules", "downsamplers", "upsamplers")


class FeatureStore(Protocol):
    """What stand-ins talk to: a `store.Store`, or what hands features in and out of compiled code."""

    def running_full(self) -> bool:
        """Whether this is a full step."""
        ...

    def record(self, name: str, layout: Layout, feature: Tensor, /) -> None:
        """Take a module's feature at a full step."""
        ...

    def predict(self, name: str, layout: Layout, given: Tensor, /) -> Tensor:
        """Give a module's feature at a skipped step; `given`: the module's input."""
        ...


class Patch:
    """Stands in for one module's forward."""

    caches = True
    """Whether it records and predicts a feature."""

    def __init__(self, name: str, module: nn.Module, store: FeatureStore) -> None:
        self.name, self.module, self.store = name, module, store
        self.forward: Callable[..., object] = module.forward
        self._replaced = module.__dict__.get("forward")
        # Spatial transformers return a tuple where the UNet's blocks call them, the other layers a tensor.
        self.in_tuple = isinstance(module, Transformer2DModel)

    def apply(self) -> None:
        """Take the forward's place."""
        self.module.forward = self  # type: ignore[assignment]

    @property
    def in_place(self) -> bool:
        """Whether the module still calls this."""
        return self.module.__dict__.get("forward") is self

    def remove(self) -> None:
        """Put back what was there: usually nothing but the class's method."""
        if self._replaced is None:
            del self.module.forward
        else:
            self.module.forward = self._replaced


class Predicted(Patch):
    """Extrapolates the module's output, or what it adds to its input."""

    def __init__(
        self, name: str, module: nn.Module, store: FeatureStore, layout: Layout, adds_input: bool = False
    ) -> None:
        super().__init__(name, module, store)
        self.layout, self.adds_input = layout, adds_input

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Record on full steps, predict on the others."""
        x = _input(args, kwargs)
        if self.store.running_full():
            result: Any = self.forward(*args, **kwargs)
            output = result[0] if self.in_tuple else result
            self.store.record(self.name, self.layout, output - x if self.adds_input else output)
            return result
        predicted = self.store.predict(self.name, self.layout, x)
        output = x + predicted if self.adds_input else predicted
        return (output,) if self.in_tuple else output


class Boundary(Patch):
    """Runs always; the first channels of its input come from layers that are skipped, and are extrapolated."""

    def __init__(self, name: str, module: nn.Module, store: FeatureStore, channels: int) -> None:
        super().__init__(name, module, store)
        self.channels = channels

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Record part of the input on full steps, complete it on the others."""
        x = _input(args, kwargs)
        if self.store.running_full():
            # Cloned: a view would keep the skip connection alive as well.
            self.store.record(self.name, "map", x[:, : self.channels].clone())
            return self.forward(*args, **kwargs)
        whole = torch.cat([self.store.predict(self.name, "map", x), x], 1)
        if args:
            return self.forward(whole, *args[1:], **kwargs)
        return self.forward(**kwargs | {_input_name(kwargs): whole})


class Skipped(Patch):
    """Does nothing on skipped steps."""

    caches = False

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Run on full steps only."""
        if self.store.running_full():
            return self.forward(*args, **kwargs)
        nothing = _input(args, kwargs)[:, :0]
        return (nothing,) if self.in_tuple else nothing


def patches(unet: Any, scope: Scope, quantity: Quantity, cut: int, store: FeatureStore) -> list[Patch]:
    """Stand-ins for every module that a scope concerns; nothing is changed yet.

    Args:
        unet: of diffusers' UNet2DConditionModel kind, motion modules or not.
        scope: `attention`: spatial self-, cross- and temporal attention of the way down and up, those that the
            paper's text names; `transformer`: its whole spatial transformers and motion modules; `deep`: everything
            below a skip connection; `head`: everything but the output layers.
        quantity: what is extrapolated, of `QUANTITIES[scope]`.
        cut: for `deep`, the skip connection that still runs, 0 for the first convolution's output.
        store: where the features go.

    Raises:
        ValueError: the UNet has no such modules, or layers of a kind that is not known to be skippable.
    """
    missing = [n for n in ("conv_in", "down_blocks", "up_blocks", "conv_out") if not hasattr(unet, n)]
    if missing:
        raise ValueError(f"expected a diffusers UNet, got {type(unet).__name__} without {', '.join(missing)}")
    if scope == "attention":
        found: list[Patch] = list(_attention(unet, store))
        wanted = "Attention in transformer blocks"
    elif scope == "transformer":
        found = [
            Predicted(name, module, store, "map", adds_input=quantity == "residual")
            for name, module in _transformers(unet)
        ]
        wanted = "Transformer2DModel or AnimateDiffTransformer3D"
    elif scope == "deep":
        return _deep(unet, cut, store)
    else:
        return _head(unet, quantity, store)
    if not found:
        raise ValueError(
            f"scope {scope!r}: looked for {wanted} in `attentions` and `motion_modules` of down_blocks and "
            f"up_blocks, but this {type(unet).__name__} has none"
        )
    return found


def _transformers(unet: Any) -> Iterator[tuple[str, Any]]:
    """Spatial and temporal transformers on the way down and up, with their names."""
    for way in ("down_blocks", "up_blocks"):
        for name, module in getattr(unet, way).named_modules(prefix=way):
            if isinstance(module, (Transformer2DModel, AnimateDiffTransformer3D)):
                yield name, module


def _attention(unet: Any, store: FeatureStore) -> Iterator[Patch]:
    for name, transformer in _transformers(unet):
        layout: Layout = "tokens" if isinstance(transformer, Transformer2DModel) else "motion"
        for inner, module in transformer.named_modules(prefix=name):
            if isinstance(module, Attention):
                yield Predicted(inner, module, store, layout)


@dataclass
class _Unit:
    """Layers that make, or on the way up take, one skip connection."""

    layers: list[tuple[str, Any]]
    channels: int
    """Of its output."""


def _deep(unet: Any, cut: int, store: FeatureStore) -> list[Patch]:
    down = [
        _Unit([], -1),
        *(unit for i, b in enumerate(unet.down_blocks) for unit in _down(f"down_blocks.{i}", b)),
    ]
    up = [unit for i, b in enumerate(unet.up_blocks) for unit in _up(f"up_blocks.{i}", b)]
    if len(up) != len(down):
        raise ValueError(
            f"scope 'deep': {len(down)} skip connections do not pair with {len(up)} layers on the way up"
        )
    if not 0 <= cut < len(down):
        raise ValueError(f"cut: expected a skip connection from 0 to {len(down) - 1}, got {cut}")
    middle = [_middle(unet)] if unet.mid_block is not None else []
    first = len(up) - 1 - cut
    name, module = up[first].layers[0]
    below = [*down[cut + 1 :], *middle, *up[:first]]
    # Nothing lies below the deepest skip connection but the middle block; without one there is nothing to cut.
    if not below:
        raise ValueError(f"cut: nothing lies below skip connection {cut} of a UNet without a middle block")
    skipped = [Skipped(n, layer, store) for unit in below for n, layer in unit.layers]
    return [*skipped, Boundary(name, module, store, below[-1].channels)]


def _head(unet: Any, quantity: Quantity, store: FeatureStore) -> list[Patch]:
    down = [unit for i, b in enumerate(unet.down_blocks) for unit in _down(f"down_blocks.{i}", b)]
    up = [unit for i, b in enumerate(unet.up_blocks) for unit in _up(f"up_blocks.{i}", b)]
    middle = [_middle(unet)] if unet.mid_block is not None else []
    found: list[Patch] = [Skipped("conv_in", unet.conv_in, store)]
    found += [Skipped(n, layer, store) for unit in (*down, *middle, *up) for n, layer in unit.layers]
    norm = getattr(unet, "conv_norm_out", None)
    if quantity == "output":
        if norm is not None:
            found.append(Skipped("conv_norm_out", norm, store))
        return [*found, Predicted("conv_out", unet.conv_out, store, "map")]
    name, first = ("conv_out", unet.conv_out) if norm is None else ("conv_norm_out", norm)
    return [*found, Boundary(name, first, store, up[-1].channels)]


def _down(name: str, block: Any) -> Iterator[_Unit]:
    yield from _units(name, block)
    layers = _layers(name, block, "downsamplers")
    if layers:
        yield _Unit(layers, layers[-1][1].out_channels)


def _up(name: str, block: Any) -> list[_Unit]:
    units = _units(name, block)
    units[-1].layers += _layers(name, block, "upsamplers")
    return units


def _units(name: str, block: Any) -> list[_Unit]:
    """One for each residual block, with the transformers that follow it."""
    lists = [_layers(name, block, kind) for kind in ("resnets", "attentions", "motion_modules")]
    return [
        _Unit([layers[k] for layers in lists if layers], resnet.out_channels)
        for k, (_, resnet) in enumerate(lists[0])
    ]


def _middle(unet: Any) -> _Unit:
    layers = [layer for kind in _LISTS for layer in _layers("mid_block", unet.mid_block, kind)]
    return _Unit(layers, unet.mid_block.resnets[-1].out_channels)


def _layers(name: str, block: Any, kind: str) -> list[tuple[str, Any]]:
    """One of a block's lists of layers, with names.

    Raises:
        ValueError: the block has layers of which it is not known how they would be skipped.
    """
    unknown = [n for n, _ in block.named_children() if n not in _LISTS]
    layers = [(f"{name}.{kind}.{k}", layer) for k, layer in enumerate(getattr(block, kind, None) or ())]
    unknown += [n for n, layer in layers if not isinstance(layer, _SKIPPABLE)]
    if unknown:
        raise ValueError(
            f"{name} ({type(block).__name__}): do not know how to skip {', '.join(unknown)}; looked for "
            f"{', '.join(_LISTS)} made of {', '.join(kind.__name__ for kind in _SKIPPABLE)}"
        )
    return layers


def _input_name(kwargs: dict[str, object]) -> str:
    """What a layer's first argument is called: resnets and the other layers differ."""
    return "input_tensor" if "input_tensor" in kwargs else "hidden_states"


def _input(args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    return args[0] if args else kwargs[_input_name(kwargs)]  # type: ignore[return-value]
