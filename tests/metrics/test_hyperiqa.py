"""HyperIQA: pyiqa's network with given weights and no network access."""

import socket

import numpy as np
import pytest
import torch
from emojibench_metrics.hyperiqa import HyperIqa, HyperIqaNetwork, empty_network, hyperiqa
from emojibench_metrics.interface import ClipArrays
from metric_recipes import fill, picture, shapes

pytest.importorskip("pyiqa", reason="needs the extra 'quality'")


@pytest.fixture(scope="module")
def weights():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _no_network)
        return fill(shapes(empty_network()))


def _no_network(*_):
    raise AssertionError("HyperIQA reached for the network")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "whole", "cropped"),
    [(201, 24789.669921875, 24252.07421875), (203, 25062.568359375, 23563.427734375)],
)
def test_golden_values(weights, seed, whole, cropped):
    network = HyperIqaNetwork(weights)
    image = picture(seed, 256, 256)
    assert hyperiqa(image, network) == pytest.approx(100 * whole, rel=1e-3)
    assert hyperiqa(image[:224, :224], network) == pytest.approx(100 * cropped, rel=1e-3)


@pytest.mark.slow
def test_file_metric_and_bad_files(weights, tmp_path):
    file = tmp_path / "HyperIQA.pth"
    torch.save({"params": {f"module.{name}": value for name, value in weights.items()}}, file)
    frames = np.stack([picture(201, 224, 224), picture(203, 224, 224)])
    figure = HyperIqa(lambda name: file).measure(ClipArrays(frames))["hyperiqa"]
    assert figure.value == pytest.approx(100 * (24252.07 + 23563.43) / 2, rel=0.1)
    assert figure.n == 2
    torch.save({"params": {}}, file)
    with pytest.raises(ValueError, match="weights do not fit HyperIQA"):
        HyperIqa(lambda name: file)


def test_bad_frames_are_refused_before_any_network_runs():
    with pytest.raises(ValueError, match="expected uint8 RGB"):
        hyperiqa(np.zeros((2, 224, 224)), None)
