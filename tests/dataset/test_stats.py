"""Figures of datasets: what changes them and what does not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from emojibench.cli.commands import app
from emojibench.dataset import diversity
from emojibench.dataset.facts import ABOUT, SCORES
from emojibench.dataset.siglip import PROMPTS, Siglip
from emojibench.dataset.stats import driving_facts, energy_of
from emojibench.errors import UserError
from emojibench.face.driving import DrivingSequence
from emojibench.face.points import INNER_LIP_MIDDLES
from emojibench.face.template import template


def sequence(seed: int, *, frames: int = 40, amplitude: float = 1.0, talks: bool = True) -> DrivingSequence:
    """A template head that turns and shifts, with a mouth that opens; two frames have no face."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 2 * np.pi, frames)
    landmarks = []
    for k in range(frames):
        face = template().copy()
        face[INNER_LIP_MIDDLES[1], 1] += talks * 0.15 * (1 + np.sin((1 + seed % 3) * t[k]))
        turned = Rotation.from_euler("y", 25 * amplitude * np.sin(t[k] + seed), degrees=True).apply(face)
        landmarks.append((turned * 60 + (128 + amplitude * 8 * np.cos(t[k]), 128, 0)) / 256)
    found = np.float32(landmarks)
    found[rng.integers(1, frames, 2)] = np.nan
    shapes = rng.random((frames, 52)).astype(np.float32)
    return DrivingSequence(found, 25.0, (256, 256), "fake", blendshapes=shapes)


SEQUENCES = [sequence(seed, frames=30 + 5 * seed) for seed in range(4)]


def values(sequences: list[DrivingSequence]) -> dict[str, float]:
    return {name: fact.value for name, fact in driving_facts(sequences).items() if fact.value is not None}


def test_neither_order_nor_copies_nor_the_size_of_frames_change_a_figure() -> None:
    known = values(SEQUENCES)
    assert len(known) == 13
    assert values(SEQUENCES[::-1]) == pytest.approx(known, abs=1e-12)
    twice = values(SEQUENCES * 2)
    assert twice.pop("total") == pytest.approx(2 * known["total"])
    assert twice == pytest.approx({name: v for name, v in known.items() if name != "total"}, abs=1e-12)
    larger = [replace(s, size=(1024, 1024)) for s in SEQUENCES]
    assert values(larger) == pytest.approx(known, abs=1e-9)


def test_more_motion_is_more() -> None:
    small, large = sequence(0, amplitude=0.5, talks=False), sequence(0, amplitude=1.0, talks=False)
    a, b = values([small]), values([large])
    assert all(b[name] > a[name] for name in ("yaw", "motion", "energy"))
    points = np.repeat(np.float32(template() / 4 + 0.5)[None], 5, axis=0)
    steps = 0.01 * np.arange(5, dtype=np.float32)[:, None, None] * (1, 0, 0)
    still, slow, fast = (
        DrivingSequence(np.float32(points + k * steps), 25.0, (256, 256), "fake") for k in (0, 1, 2)
    )
    assert energy_of(still) == 0
    assert energy_of(slow) == pytest.approx((0.01 * 256 * 25 / 64) ** 2, rel=1e-3)
    assert energy_of(fast) == pytest.approx(4 * (energy_of(slow) or 0), rel=1e-3)
    assert energy_of(replace(slow, fps=50.0)) == pytest.approx(4 * (energy_of(slow) or 0), rel=1e-6)


def test_more_expressions_are_more_variety() -> None:
    calm, talking = values([sequence(0, talks=False)]), values([sequence(0)])
    assert talking["expression_coverage"] > calm["expression_coverage"]
    assert talking["expression_entropy"] > calm["expression_entropy"]
    uniform, single = np.full(243, 1 / 243), np.eye(243)[0]
    assert diversity.entropy(uniform) == pytest.approx(1)
    assert diversity.entropy(single) == 0
    assert diversity.coverage(single) == pytest.approx(1 / 243)
    assert diversity.coverage(uniform, 10_000) == pytest.approx(1)
    drawn = np.random.default_rng(0).integers(0, 243, (400, 100))  # rarefaction against counting
    assert diversity.coverage(uniform, 100) == pytest.approx(
        np.mean([len(set(d)) for d in drawn]) / 243, rel=0.01
    )


def test_what_cannot_be_measured_says_why() -> None:
    blind = replace(SEQUENCES[0], landmarks=np.full_like(SEQUENCES[0].landmarks, np.nan), blendshapes=None)
    facts = driving_facts([blind])
    assert "no sequence has a frame with a face" in facts["yaw"].reason
    facts = driving_facts([SEQUENCES[0], replace(SEQUENCES[1], blendshapes=None)])
    assert facts["blendshape_entropy"].reason.startswith("1 of 2 sequences come without blendshapes")
    assert facts["yaw"].n == 2


def test_the_command_compares_datasets(built: tuple[Path, object], tmp_path: Path) -> None:
    runner, out = CliRunner(), built[0]
    figure = tmp_path / "fig" / "radar.pdf"
    done = runner.invoke(app, ["data", "stats", str(out), "--json", "--figure", str(figure)])
    (found,) = json.loads(done.stdout)
    assert list(found["facts"]) == list(ABOUT)
    assert found["facts"]["resolution"]["value"] == 96
    assert {found["facts"][name]["reason"] for name in SCORES} == {
        "no SigLIP model was given: --siglip FOLDER"
    }
    assert {file.suffix for file in (tmp_path / "fig").iterdir()} == {".pdf", ".png", ".csv"}
    table = runner.invoke(app, ["data", "stats", str(out), "--format", "csv"])
    assert "Range of yaw" in table.stdout
    wrong = runner.invoke(app, ["data", "stats", str(out), "--figure", "radar.svg"])
    assert "--figure: expected the name of a .pdf or .png file" in str(wrong.exception)
    wrong = runner.invoke(app, ["data", "stats", str(out), "--siglip", str(tmp_path)])
    assert "expected config.json, model.safetensors" in str(wrong.exception)


def test_workers_change_no_figure(built: tuple[Path, object]) -> None:
    runner, said = CliRunner(), []
    for jobs in ("1", "2"):
        done = runner.invoke(app, ["data", "stats", str(built[0]), "--json", "--jobs", jobs])
        assert "Driving of" in done.stderr
        said.append(done.stdout)
    assert said[0] == said[1] != ""
    wrong = runner.invoke(app, ["data", "stats", str(built[0]), "--jobs", "0"])
    assert "--jobs: expected a number of processes of at least 1, got 0" in str(wrong.exception)


def test_siglip_scores_are_probabilities_of_prompts(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = sorted({word for pair in PROMPTS.values() for text in pair for word in text.split()})
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"?": 0, **{w: i + 1 for i, w in enumerate(words)}}, unk_token="?")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="?").save_pretrained(tmp_path)
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.SiglipConfig(
        text_config={**small, "vocab_size": 64, "max_position_embeddings": 16, "projection_size": 8},
        vision_config={**small, "image_size": 32, "patch_size": 16},
    )
    transformers.SiglipModel(config).save_pretrained(tmp_path)
    transformers.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), np.uint8))
    found = Siglip(tmp_path)(pictures)
    assert found.shape == (3, len(PROMPTS))
    assert ((found > 0) & (found < 1)).all()
    assert Siglip(tmp_path)(pictures[::-1])[::-1] == pytest.approx(found, abs=1e-6)
    from safetensors.numpy import load_file, save_file

    weights = load_file(tmp_path / "model.safetensors")
    del weights["logit_scale"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="no weights for logit_scale"):
        Siglip(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"--siglip .*expected config\.json"):
        Siglip(tmp_path)
