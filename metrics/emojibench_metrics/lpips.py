"""LPIPS: learned perceptual distance, with the backbone in the name.

Protocol: network of the `lpips` package 0.1.4 with version 0.1 linear heads; RGB on [-1, 1] at native size,
no resize, spatial mean, then mean over frames. Backbones differ a lot (the package's example pairs: alex
0.722 and 0.138, squeeze 0.711 and 0.148), so `lpips_alex`, `lpips_vgg` and `lpips_squeeze` are separate
metrics. `alex` is what the authors advise for evaluation. Weights are given files; the package's own download
is never reached.
Source: Zhang et al., CVPR 2018; github.com/richzhang/PerceptualSimilarity.
"""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from emojibench_metrics.frames import PairedMetric, checked_pair
from emojibench_metrics.interface import FindWeights, Frames, Traits

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Backbone = Literal["alex", "vgg", "squeeze"]

WEIGHTS: dict[Backbone, tuple[str, str]] = {
    "alex": ("alexnet", "lpips-lin-alex"),
    "vgg": ("vgg16", "lpips-lin-vgg"),
    "squeeze": ("squeezenet1_1-features", "lpips-lin-squeeze"),
}
"""Names of the backbone's and the heads' weight files."""

# The first torchvision layer that no longer belongs to the package's slice 1, 2, ...
_SLICE_ENDS: dict[Backbone, tuple[int, ...]] = {
    "alex": (2, 5, 8, 10, 12),
    "vgg": (4, 9, 16, 23, 30),
    "squeeze": (2, 5, 8, 10, 11, 12, 13),
}


def _traits(backbone: Backbone) -> tuple[Traits, ...]:
    return (
        Traits(
            name=f"lpips_{backbone}",
            better="lower",
            unit="",
            valid_range=(0.0, float("inf")),
            source=f"Zhang et al., CVPR 2018, v0.1 heads, {backbone} backbone, [-1, 1] at native size",
            needs=frozenset({"truth"}),
        ),
    )


TRAITS = (*_traits("alex"), *_traits("vgg"), *_traits("squeeze"))


class LpipsNetwork:
    """LPIPS distance of pairs of frames, from given weights."""

    def __init__(self, backbone: Backbone, weights: "dict[str, Tensor]", heads: "dict[str, Tensor]") -> None:
        """Build the package's network around given weights.

        Args:
            backbone: `alex`, `vgg` or `squeeze`.
            weights: torchvision's ImageNet weights, as `features.N...` or `N...`; other keys are left alone.
            heads: version 0.1 linear heads, `linK.model.1.weight`.

        Raises:
            ValueError: weights that are not this backbone's.
        """
        import torch

        from emojibench_metrics.networks import device

        network = _empty_network(backbone)
        # `lins.K` is a second name that the package gives to the module `linK`.
        wanted = {k for k in network.state_dict() if not k.startswith(("lins.", "scaling_layer."))}
        given = {**package_names(backbone, weights), **heads}
        if wanted != given.keys():
            raise ValueError(
                f"LPIPS {backbone}: weights do not fit; missing {sorted(wanted - given.keys())[:3]}, "
                f"unexpected {sorted(given.keys() - wanted)[:3]}"
            )
        network.load_state_dict(given, strict=False, assign=True)
        self._network: Any = network.to(memory_format=torch.channels_last).eval()
        self.to(device())

    def to(self, device: "torch.device") -> Self:
        """Move the network to a device; pictures that are compared must be there too."""
        self._device = device
        self._network = self._network.to(device)
        return self

    def distances(self, a: Frames, b: Frames) -> NDArray[np.float64]:
        """(T,) distances of two checked videos (T, H, W, 3)."""
        import torch

        from emojibench_metrics.networks import map_batches

        each = -(-len(a) // torch.get_num_threads())  # consecutive frames, for those that repeat one another
        values = map_batches(lambda batch: self._batch(a[batch], b[batch]), len(a), cpu=each, gpu=16)
        return values.double().numpy()

    def _batch(self, a: Frames, b: Frames) -> "Tensor":
        if self._device.type == "cpu":
            return self._one_by_one(a, b)
        both = self._scaled(np.concatenate([a, b]))
        return self.between(both[: len(a)], both[len(a) :])

    def _scaled(self, frames: Frames) -> "Tensor":
        """Frames (N, H, W, 3) as (N, 3, H, W) in [-1, 1] on the device."""
        import torch

        # Channels stay last in memory: the permutation alone makes that layout.
        pixels = torch.from_numpy(frames).to(self._device).permute(0, 3, 1, 2)
        return pixels.float() / 127.5 - 1

    def between(self, a: "Tensor", b: "Tensor") -> "Tensor":
        """(N,) distances of pictures (N, 3, H, W) in [-1, 1]; differentiable, so that it can be trained for."""
        import torch

        total = torch.zeros(len(a), device=a.device)
        for features, weights in self._layers(torch.cat([a, b])):
            unit = _unit(features)
            difference = (unit[: len(a)] - unit[len(a) :]).square()
            total = total + (difference.movedim(1, -1) @ weights).mean(dim=(1, 2))
        return total

    def features(self, pictures: "Tensor") -> Iterator["Tensor"]:
        """Of pictures (N, 3, H, W) in [-1, 1]: (N, C, h, w), layer by layer, vectors of length 1; differentiable."""
        for features, _ in self._layers(pictures):
            yield _unit(features)

    def _one_by_one(self, a: Frames, b: Frames) -> "Tensor":
        """(N,) distances, without gradients; a frame of `a` that repeats the one before is looked at once."""
        import torch

        from emojibench_metrics.compiled import feature_distance

        total = np.zeros(len(a))
        known: dict[int, NDArray[np.float32]] = {}
        """Features of the frame of `a`, (pixels, channels), by depth."""
        for k, pair in enumerate(zip(a, b, strict=True)):
            repeats = k > 0 and np.array_equal(a[k], a[k - 1])
            pictures = self._scaled(np.stack(pair[1:] if repeats else pair))
            for depth, (features, weights) in enumerate(self._layers(pictures)):
                vectors = features.permute(0, 2, 3, 1).flatten(1, 2).contiguous().numpy()
                if not repeats:
                    known[depth] = vectors[0]
                total[k] += feature_distance(known[depth], vectors[-1], weights.numpy())
        return torch.from_numpy(total)

    def _layers(self, pictures: "Tensor") -> Iterator["tuple[Tensor, Tensor]"]:
        """Features (N, C, H, W) and the head's weights (C,) of layer after layer."""
        features = self._network.scaling_layer(pictures)
        for part, head in zip(self._network.net.children(), self._network.lins, strict=True):
            features = part(features)
            # The head is a 1x1 convolution onto one channel: a weighted sum over channels.
            yield features, head.model[-1].weight.flatten()


def _unit(features: "Tensor") -> "Tensor":
    """Features (N, C, H, W) as vectors of length 1."""
    import torch

    scaled: Tensor = features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + 1e-10)
    return scaled


def package_names(backbone: Backbone, weights: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """torchvision's names (`features.3.weight` or `3.weight`) as the package's (`net.slice2.3.weight`)."""
    renamed = {}
    for name, tensor in weights.items():
        layer = name.removeprefix("features.")
        number = layer.partition(".")[0]
        if number.isdecimal():
            part = next((i for i, end in enumerate(_SLICE_ENDS[backbone], 1) if int(number) < end), None)
            if part is not None:
                renamed[f"net.slice{part}.{layer}"] = tensor
    return renamed


def _empty_network(backbone: Backbone) -> Any:
    """The package's network with tensors still to come, and its constants in place."""
    import torch
    from lpips import LPIPS
    from lpips.lpips import ScalingLayer

    with warnings.catch_warnings(), torch.device("meta"):
        # torchvision warns of the argument by which the package says "no weights, thank you".
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        network = LPIPS(net=backbone, pretrained=False, pnet_rand=True, verbose=False)
    network.scaling_layer = ScalingLayer()
    return network


class _Lpips(PairedMetric):
    """LPIPS with one backbone."""

    backbone: Backbone

    def __init__(self, find_weights: FindWeights) -> None:
        """Load backbone and heads.

        Raises:
            ValueError: a file that is not what its name says.
        """
        paths = [find_weights(name) for name in WEIGHTS[self.backbone]]
        from emojibench_metrics.networks import load_tensors

        self._network = LpipsNetwork(self.backbone, *(load_tensors(path) for path in paths))

    def per_frame(self, generated: Frames, truth: Frames) -> dict[str, NDArray[np.float64]]:
        """(T,) LPIPS of each frame."""
        return {self.traits[0].name: self._network.distances(generated, truth)}


class LpipsAlex(_Lpips):
    """Learned perceptual distance, AlexNet backbone."""

    backbone = "alex"
    traits = _traits("alex")


class LpipsVgg(_Lpips):
    """Learned perceptual distance, VGG16 backbone."""

    backbone = "vgg"
    traits = _traits("vgg")


class LpipsSqueeze(_Lpips):
    """Learned perceptual distance, SqueezeNet 1.1 backbone."""

    backbone = "squeeze"
    traits = _traits("squeeze")


def lpips(a: NDArray[Any], b: NDArray[Any], network: LpipsNetwork) -> float:
    """Mean LPIPS distance of two videos (T, H, W, 3) or pictures (H, W, 3), uint8 RGB.

    Args:
        a: first video.
        b: second video of the same shape; the order does not matter.
        network: built once from weight files, see `LpipsNetwork`.

    Raises:
        ValueError: not uint8 RGB, or shapes that differ.
    """
    return float(network.distances(*checked_pair(a, b)).mean())
