"""HyperIQA: no-reference quality of the generated frames.

Protocol: pyiqa's HyperIQA (ResNet-50, KonIQ-10k checkpoint), RGB on [0, 1] with ImageNet statistics, no
resize, 5x5 uniform crops of 224x224 averaged (frames whose short side is 224 or less are enlarged to 225
first), times 100, mean over frames. Deterministic, unlike the original code's 10 random crops of a 512x384
resize: compare only within this protocol. The paper names HyperIQA, but cites LIQE (scores of 1 to 5); its 60.147 fits
this scale. Its crops are not stated.
Source: Su et al., CVPR 2020; github.com/chaofengc/IQA-PyTorch. Weights and pyiqa are for non-commercial use.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from emojibench_metrics.frames import checked_video
from emojibench_metrics.interface import ClipArrays, Figure, FindWeights, Frames, Traits

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "hyperiqa-koniq10k"

TRAITS = (
    Traits(
        name="hyperiqa",
        better="higher",
        unit="of 100",
        valid_range=(float("-inf"), float("inf")),
        source="Su et al., CVPR 2020; pyiqa HyperIQA resnet50-koniq10k, 25 uniform crops, x 100",
        decimals=2,
    ),
)


def empty_network() -> Any:
    """pyiqa's HyperIQA, untrained.

    pyiqa asks timm for an ImageNet backbone (a download) even when a full checkpoint follows; here it gets an
    empty one.

    Raises:
        ModuleNotFoundError: pyiqa is not installed.
    """
    from pyiqa.archs import hypernet_arch

    timm = hypernet_arch.timm

    def without_download(name: str, **options: Any) -> Any:
        return timm.create_model(name, **{**options, "pretrained": False})

    hypernet_arch.timm = SimpleNamespace(create_model=without_download)
    try:
        return hypernet_arch.HyperNet(pretrained=False)
    finally:
        hypernet_arch.timm = timm


class HyperIqaNetwork:
    """HyperIQA scores of frames, from given weights."""

    def __init__(self, weights: "dict[str, Tensor]") -> None:
        """Load the full checkpoint, backbone included.

        Raises:
            ValueError: names or shapes that are not those of `HyperIQA-resnet50-koniq10k`.
            ModuleNotFoundError: pyiqa is not installed.
        """
        import torch

        from emojibench_metrics.networks import device

        network = empty_network()
        try:
            network.load_state_dict({name.removeprefix("module."): value for name, value in weights.items()})
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"weights do not fit HyperIQA (resnet50, KonIQ-10k): {reason}") from error
        self._device = device()
        self._network = network.to(self._device).to(memory_format=torch.channels_last).eval()

    def scores(self, frames: Frames) -> NDArray[np.float64]:
        """(T,) scores, nominally 0..100, of frames (T, H, W, 3)."""
        import torch

        from emojibench_metrics.networks import map_batches

        def batch(part: slice) -> "Tensor":
            pixels = torch.from_numpy(np.ascontiguousarray(frames[part])).to(self._device)
            result: Tensor = self._network(pixels.permute(0, 3, 1, 2).float() / 255)
            return result.flatten() * 100

        return map_batches(batch, len(frames), cpu=1, gpu=8).double().numpy()


def hyperiqa(frames: NDArray[Any], network: HyperIqaNetwork) -> float:
    """Mean HyperIQA score (nominally 0..100, higher is better) of a video (T, H, W, 3) or picture, uint8 RGB.

    Raises:
        ValueError: not uint8 RGB.
    """
    video = checked_video(frames, "video")
    return float(network.scores(video).mean())


class HyperIqa:
    """No-reference image quality of frames."""

    kind: Literal["clip"] = "clip"
    packages = ("pyiqa",)
    traits = TRAITS

    def __init__(self, find_weights: FindWeights) -> None:
        """Load the network.

        Raises:
            ValueError: a file that is not what its name says.
            ModuleNotFoundError: pyiqa is not installed.
        """
        path = find_weights(WEIGHTS)
        from emojibench_metrics.networks import load_tensors

        self._network = HyperIqaNetwork(load_tensors(path))

    def measure(self, clip: ClipArrays) -> dict[str, Figure]:
        """Mean score over the generated frames."""
        scores = self._network.scores(checked_video(clip.generated, "video"))
        return {"hyperiqa": Figure(float(scores.mean()), len(scores), frames=scores)}
