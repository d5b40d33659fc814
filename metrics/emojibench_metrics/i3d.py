"""I3D: the inflated Inception network behind FVD.

Architecture: Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, with 400 Kinetics classes,
written here with the parameter names of the public PyTorch weights `i3d_pretrained_400.pt` (VideoGPT and
TATS), so that they load strictly. Convolutions and poolings pad as TensorFlow's SAME does: as much as the
input's size needs, the larger half behind. Batch normalisation keeps PyTorch's epsilon of 1e-5, as the code
that the weights come with does.

Protocol of `preprocess`: uint8 RGB to [0, 1], bilinear resize without antialiasing (align_corners False) so
that the short side is 224, centre crop 224x224, then [-1, 1].
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from emojibench_metrics.interface import Frames

CLASSES = 400
"""Kinetics-400 classes; the logits are FVD's features."""
SIDE = 224
"""Side of the input in pixels."""
MINIMUM_FRAMES = 9
"""Shortest video that survives the network's strides and its final pooling."""

Size = tuple[int, int, int]

# Output channels: 1x1; 1x1 then 3x3; 1x1 then 3x3; after pooling.
_MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def preprocess(frames: Frames) -> Tensor:
    """(1, 3, T, 224, 224) float32 in [-1, 1] from frames (T, H, W, 3) uint8."""
    video = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    height, width = video.shape[2:]
    # The long side is rounded up, as VideoGPT does.
    short = min(height, width)
    size = (-(-height * SIDE // short), -(-width * SIDE // short))
    video = functional.interpolate(video, size=size, mode="bilinear", align_corners=False)
    top, left = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    video = video[:, :, top : top + SIDE, left : left + SIDE]
    return (video * 2 - 1).permute(1, 0, 2, 3)[None]


class I3D(nn.Module):
    """The network; `forward` gives the logits averaged over time."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = _Unit(3, 64, (7, 7, 7), stride=(2, 2, 2))
        self.Conv3d_2b_1x1 = _Unit(64, 64, (1, 1, 1))
        self.Conv3d_2c_3x3 = _Unit(64, 192, (3, 3, 3))
        channels = 192
        for name, widths in _MIXED.items():
            self.add_module(name, _Mixed(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        self.logits = _Unit(channels, CLASSES, (1, 1, 1), classifier=True)

    def forward(self, video: Tensor) -> Tensor:
        """(N, 400) logits of videos (N, 3, T, 224, 224) in [-1, 1]; T at least 9."""
        x = self.Conv3d_1a_7x7(video)
        x = _pool(x, (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        x = _pool(x, (1, 3, 3), (1, 2, 2))
        for name in _MIXED:
            if name == "Mixed_4b":
                x = _pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = _pool(x, (2, 2, 2), (2, 2, 2))
            x = self.get_submodule(name)(x)
        x = functional.avg_pool3d(x, (2, 7, 7), stride=1)
        logits: Tensor = self.logits(x)
        return logits.mean(dim=(2, 3, 4))


class _Unit(nn.Module):
    """Convolution, batch normalisation, ReLU; the classifier has a bias instead of the last two."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Size, stride: Size = (1, 1, 1), classifier: bool = False
    ) -> None:
        super().__init__()
        self._kernel, self._stride = kernel, stride
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride=stride, bias=classifier)
        self.bn = None if classifier else nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3d(_pad_same(x, self._kernel, self._stride))
        return x if self.bn is None else functional.relu(self.bn(x), inplace=True)


class _Mixed(nn.Module):
    """Inception block: four branches side by side."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        one, reduce_a, three_a, reduce_b, three_b, pooled = widths
        self.b0 = _Unit(inputs, one, (1, 1, 1))
        self.b1a = _Unit(inputs, reduce_a, (1, 1, 1))
        self.b1b = _Unit(reduce_a, three_a, (3, 3, 3))
        self.b2a = _Unit(inputs, reduce_b, (1, 1, 1))
        self.b2b = _Unit(reduce_b, three_b, (3, 3, 3))
        self.b3b = _Unit(inputs, pooled, (1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.b3b(_pool(x, (3, 3, 3), (1, 1, 1)))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), pooled], dim=1)


def _pool(x: Tensor, kernel: Size, stride: Size) -> Tensor:
    # Inputs come from a ReLU, so padding with zeros never wins.
    return functional.max_pool3d(_pad_same(x, kernel, stride), kernel, stride)


def _pad_same(x: Tensor, kernel: Size, stride: Size) -> Tensor:
    pads: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        total = max(k - (size % s or s), 0)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads) if any(pads) else x
