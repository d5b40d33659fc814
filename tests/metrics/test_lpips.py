"""LPIPS: golden values of all three backbones, the package's own forward pass, axioms, bad weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from emojibench_metrics.interface import ClipArrays
from emojibench_metrics.lpips import (
    LpipsAlex,
    LpipsNetwork,
    LpipsSqueeze,
    LpipsVgg,
    _empty_network,
    lpips,
    package_names,
)
from metric_recipes import fill, find_in, golden, noisy, picture, picture_file, shapes

SHARED_SQUEEZE = {
    "squeezenet1_1-features": "weights/lpips/squeezenet1_1_features.pth",
    "lpips-lin-squeeze": "weights/lpips/lin_v0.1_squeeze.pth",
}


def heads(backbone):
    """The linear heads that the lpips package itself carries."""
    import lpips as package

    file = Path(package.__file__).parent / "weights" / "v0.1" / f"{backbone}.pth"
    return torch.load(file, map_location="cpu", weights_only=True)


def filled(backbone):
    """Backbone weights that follow from the package's parameter names, under torchvision's names."""
    names = {k: s for k, s in shapes(_empty_network(backbone)).items() if k.startswith("net.")}
    return {f"features.{name.split('.', 2)[2]}": tensor for name, tensor in fill(names).items()}


@pytest.fixture(scope="module", params=["alex", "vgg", "squeeze"])
def network(request):
    built = LpipsNetwork(request.param, filled(request.param), heads(request.param))
    built.backbone = request.param
    return built


# Filled backbones, real heads, pictures of seeds 201 and 202.
GOLDEN = {"alex": 0.2171775996685028, "vgg": 0.17110544443130493}


@pytest.mark.parametrize("network", ["alex", "vgg"], indirect=True)
def test_golden_wiring(network):
    value = lpips(picture(201, 256, 256), picture(202, 256, 256), network)
    assert value == pytest.approx(GOLDEN[network.backbone], rel=1e-4)


def test_equals_the_packages_own_forward_pass(network):
    from lpips import LPIPS

    reference = LPIPS(net=network.backbone, pretrained=False, pnet_rand=True, verbose=False)
    names = package_names(network.backbone, filled(network.backbone))
    reference.load_state_dict({**names, **heads(network.backbone)}, strict=False)
    a, b = picture(1, 64, 80), picture(2, 64, 80)
    tensors = [torch.from_numpy(x / 127.5 - 1).permute(2, 0, 1)[None].float() for x in (a, b)]
    with torch.no_grad():
        expected = reference.eval()(*tensors).item()
    assert lpips(a, b, network) == pytest.approx(expected, rel=1e-5)


def test_axioms(network):
    a = np.stack([picture(seed, 64, 64) for seed in (1, 2, 3)])
    b = np.stack([noisy(seed, frame) for seed, frame in enumerate(a)])
    assert lpips(a, a, network) == 0
    assert lpips(a, b, network) == pytest.approx(lpips(b, a, network), rel=1e-5)
    alone = [lpips(x, y, network) for x, y in zip(a, b, strict=True)]
    assert network.distances(a, b) == pytest.approx(alone, rel=1e-5)


def test_it_can_be_trained_for(network):
    target = torch.from_numpy(picture(1, 64, 64) / 127.5 - 1).permute(2, 0, 1)[None].float()
    guess = (
        target + 0.2 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()
    distance = network.between(guess, target)
    distance.sum().backward()
    with torch.no_grad():
        assert network.between(guess - 0.01 * guess.grad / guess.grad.std(), target) < distance


def test_what_is_trained_for_is_what_is_scored(network):
    """The differentiable distance and the compiled one, which has no gradient."""
    a = np.stack([picture(seed, 64, 80) for seed in (1, 2)])
    b = np.stack([noisy(seed, frame) for seed, frame in enumerate(a)])
    tensors = [torch.from_numpy(x / 127.5 - 1).permute(0, 3, 1, 2).float() for x in (a, b)]
    with torch.no_grad():
        expected = network.between(*tensors).numpy()
    assert network.distances(a, b) == pytest.approx(expected, abs=1e-6)


def test_a_frame_that_repeats_the_one_before_is_looked_at_once(network, monkeypatch):
    a = np.stack([picture(seed, 64, 64) for seed in (1, 1, 2, 1, 1, 1)])
    b = np.stack([picture(seed, 64, 64) for seed in range(3, 9)])
    alone = [lpips(x, y, network) for x, y in zip(a, b, strict=True)]
    assert network.distances(a, b) == pytest.approx(alone, rel=1e-6)
    looked_at, scaled = [], network._scaled
    monkeypatch.setattr(network, "_scaled", lambda x: looked_at.append(len(x)) or scaled(x))
    with torch.inference_mode():
        network._batch(a, b)
    assert looked_at == [2, 1, 2, 2, 1, 1]


def test_monotone_in_noise(network):
    a = picture(5, 64, 64)
    noise = np.random.default_rng(0).standard_normal(a.shape)
    values = [lpips(a, np.clip(a + s * noise, 0, 255).astype(np.uint8), network) for s in (0, 4, 16, 48)]
    assert values == sorted(values)


def test_threads_are_left_as_they_were(network):
    before = torch.get_num_threads()
    a = picture(1, 64, 64)
    lpips(a, a, network)
    assert torch.get_num_threads() == before


def test_real_squeezenet_golden_values():
    metric = LpipsSqueeze(find_in(SHARED_SQUEEZE))
    for case in golden("image_pair_metrics")["cases"]:
        if case["kind"] == "images":
            pairs = [(picture_file(case["a"]), picture_file(case["b"]), case["values"])]
        else:
            a = picture(case["seed"], case["H"], case["W"])
            pairs = [(a, noisy(case["seed"], a), case["noise"]), (a, np.roll(a, 3, axis=1), case["shift3"])]
        for a, b, expected in pairs:
            figure = metric.measure(ClipArrays(a[None], truth=b[None]))["lpips_squeeze"]
            assert figure.value == pytest.approx(expected["lpips_squeeze_v0.1"], abs=2e-4)
            assert figure.n == 1


def test_columns_carry_the_backbone():
    assert [m.traits[0].name for m in (LpipsAlex, LpipsVgg, LpipsSqueeze)] == [
        "lpips_alex",
        "lpips_vgg",
        "lpips_squeeze",
    ]


def test_both_forms_of_backbone_names_and_foreign_layers():
    weights = {"features.0.weight": 1, "0.bias": 2, "features.12.x": 3, "classifier.1.weight": 4}
    assert package_names("alex", weights) == {"net.slice1.0.weight": 1, "net.slice1.0.bias": 2}


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match="LPIPS alex: weights do not fit"):
        LpipsNetwork("alex", filled("squeeze"), heads("alex"))


def test_a_damaged_file_is_named(tmp_path):
    file = tmp_path / "alexnet.pth"
    file.write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"alexnet.pth: cannot be read as PyTorch weights"):
        LpipsAlex(lambda name: file)


def test_no_truth():
    network = object.__new__(LpipsSqueeze)
    figure = network.measure(ClipArrays(np.zeros((1, 64, 64, 3), np.uint8)))["lpips_squeeze"]
    assert figure.value is None
    assert figure.reason == "no ground truth"
