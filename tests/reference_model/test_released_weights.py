"""What the strict loader takes and what it refuses."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fye_faster.models.released import ReleasedModel
from fye_faster.models.released_weights import MODULES, fill, load
from released_golden import GOLDEN, public_state
from safetensors.torch import save_file
from torch import Tensor

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def states() -> dict[str, State]:
    """The five public files of a tiny model, by key."""
    with torch.device("meta"):
        model = ReleasedModel(GOLDEN)
    return {key: public_state(model.get_submodule(MODULES[key]), key) for key in MODULES}


@pytest.fixture
def guider(states: dict[str, State]) -> State:
    return dict(states["lmk_guider"])


def fill_guider(path: Path) -> None:
    with torch.device("meta"):
        module = ReleasedModel(GOLDEN).animator.landmarks
    fill(module, "lmk_guider", path)


def test_official_files_and_their_half_precision_port_fill_the_same_model(
    states: dict[str, State], tmp_path: Path
) -> None:
    official, port = {}, {}
    for key, state in states.items():
        official[key], port[key] = tmp_path / f"{key}.pth", tmp_path / f"{key}.safetensors"
        torch.save(state, official[key])
        save_file({name: value.half() for name, value in state.items()}, port[key])
    a, b = (load(files, preset=GOLDEN).state_dict() for files in (official, port))
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert value.device.type == "cpu"
        assert torch.equal(value, b[name]), name
    assert torch.equal(
        a["animator.denoiser.encoder_hid_proj.weight"], states["unet"]["clip_fc.weight"].half()
    )


def test_old_names_and_position_indices_are_taken(states: dict[str, State], tmp_path: Path) -> None:
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    vae, clip = dict(states["vae"]), dict(states["image_encoder"])
    for name in [name for name in vae if ".attentions." in name]:
        for new, former in old.items():
            if f".{new}." in name:
                vae[name.replace(new, former)] = vae.pop(name)
    assert not any(".to_" in name for name in vae)
    clip["vision_model.embeddings.position_ids"] = torch.arange(257)[None]
    model = ReleasedModel(GOLDEN)
    for key, state, module in (("vae", vae, model.autoencoder), ("image_encoder", clip, model.image_encoder)):
        torch.save(state, tmp_path / key)
        fill(module, key, tmp_path / key)
    ours = model.autoencoder.encoder.mid_block.attentions[0].to_out[0].weight
    assert torch.equal(ours, states["vae"]["encoder.mid_block.attentions.0.to_out.0.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("blocks.2.bias"),
            r"expected the 16 tensors .* got 15: lacks blocks\.2\.bias 32\. Get",
        ),
        (lambda s: s.update(more=torch.ones(2)), "got 17: has more 2 besides"),
        (
            lambda s: s.update({"conv_out.bias": torch.ones(33)}),
            r"conv_out\.bias: expected 32 of a floating type, got 33 torch\.float32",
        ),
        (
            lambda s: s.update({"conv_out.bias": torch.ones(32, dtype=torch.int8)}),
            r"conv_out\.bias: .* got 32 torch\.int8",
        ),
        (lambda s: s.clear(), "got 0: lacks conv_in.weight 16x3x3x3; .*, and 13 more"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    guider: State, tmp_path: Path, change: Callable[[State], object], message: str
) -> None:
    change(guider)
    path = tmp_path / "lmk_guider.pth"
    torch.save(guider, path)
    with pytest.raises(ValueError, match=message) as caught:
        fill_guider(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_two_copies_of_a_position_table_must_agree(states: dict[str, State], tmp_path: Path) -> None:
    unet = dict(states["unet"])
    name = next(name for name in unet if name.endswith("attention_blocks.1.pos_encoder.pe"))
    unet[name] = unet[name] + 1
    torch.save(unet, tmp_path / "unet.pth")
    with pytest.raises(ValueError, match=r"attention_blocks\.1\.pos_encoder\.pe: expected equal tensors"):
        fill(ReleasedModel(GOLDEN).animator.denoiser, "unet", tmp_path / "unet.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_truncated_file_is_refused(guider: State, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"lmk_guider.{suffix}"
    (torch.save if suffix == "pth" else save_file)(guider, path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match=f"{path}: expected a whole safetensors or torch file"):
        fill_guider(path)


def test_other_things_than_plain_tensors_are_refused(guider: State, tmp_path: Path) -> None:
    path = tmp_path / "lmk_guider.pth"
    for bad in ({1: torch.ones(2)}, {"conv_in.weight": torch.ones(2, 2).to_sparse()}):
        torch.save(bad, path)
        with pytest.raises(ValueError, match=f"{path}: expected a"):
            fill_guider(path)
    torch.save(guider, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.namelist():
            packed.writestr(member, plain.read(member))
    with pytest.raises(ValueError, match="its members are compressed"):
        fill_guider(path)


def test_a_pickle_that_wants_more_than_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lmk_guider.pth"
    torch.save({"conv_in.weight": os.system}, path)
    with pytest.raises(ValueError, match="torch file of tensors alone"):
        fill_guider(path)
    torch.save({"state_dict": {}, "epoch": 3}, path)
    with pytest.raises(ValueError, match="expected a flat state dict"):
        fill_guider(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="files: expected unet, referencenet, lmk_guider, vae, image_encoder, got"
    ):
        load({"unet": tmp_path / "unet.pth"}, preset=GOLDEN)
    with pytest.raises(ValueError, match=r"lmk_guider\.pth: expected a weights file, there is none"):
        fill_guider(tmp_path / "lmk_guider.pth")
