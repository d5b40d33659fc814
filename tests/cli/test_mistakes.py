"""What a user can mend is one line and exit code 2, before anything is made; `test_typing_mistakes.py` has more."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

PHASES = "expected 4 numbers (autoencoder, frames, clips, rollouts), not all of them 0"
PUBLIC = "--from: preset paper starts from sd15-unet, sd15-vae, clip, motion, of which"
RUN, TRAIN, PAPER = "run --method copy-reference", "train --dry-run", "train --dry-run --preset paper"
ACCEL = "accel --dataset mini --clips 1"
MISTAKES = [
    (f"{RUN} --split slef", "unknown split 'slef'. Did you mean 'self'?"),
    (f"{RUN} --dataset minni", "Did you mean 'mini'?"),
    (f"{RUN} --metrics l1,simm", "unknown metric 'simm'. Did you mean"),
    (f"{RUN} --metrics sharpness", "A metric that was just added is known once its package is installed again."),
    (f"{RUN} --clips 5000", "--clips: expected a number from 1 to 4"),
    (f"{RUN} --clips self-nobody", "--clips: unknown clip 'self-nobody'"),
    (f"{RUN} --set speed", "--set: expected KEY=VALUE, got 'speed'"),
    (f"{RUN} --jobs 0", "--jobs: expected a number of processes"),
    (f"{RUN} --timeout -1", "--timeout: expected seconds above 0, got -1"),
    (f"{RUN} --name a/b", "--name: expected letters, digits and"),
    ("score", "expected either --predictions DIR (finished videos) or --run DIR"),
    ("score --run r --split self", "--split: expected with --predictions only"),
    ("score --run nowhere", "nowhere is not a run folder: it has no spec.json"),
    (f"{TRAIN} --steps 1,2", f"--steps: {PHASES}, got 1,2"),
    (f"{TRAIN} --steps 1,2,3,-4", "--steps: expected greater than or equal to 0, got '-4'"),
    (f"{TRAIN} --steps 1,2,3,4.5", "--steps: expected a valid integer"),
    (f"{TRAIN} --shares 0,0,0,0", f"--shares: {PHASES}"),
    (f"{TRAIN} --shares nan,1,1,1", "--shares: expected a finite number, got 'nan'"),
    (f"{TRAIN} --minutes 0", "--minutes: expected greater than or equal to 0.01, got 0.0"),
    (f"{TRAIN} --config nowhere.yaml", "nowhere.yaml: no such file"),
    (f"{TRAIN} --from clip=x.bin", "--from: preset mini starts from random weights or from --start"),
    (PAPER, PUBLIC),
    (f"{PAPER} --from clip", "--from: expected NAME=PATH, got 'clip'"),
    (f"{PAPER} --from clipp=x", "--from: unknown checkpoint 'clipp'. Did you mean 'clip'?"),
    ("ablate --rows with-contur", "--rows: unknown row 'with-contur'. Did you mean 'with-contour'?"),
    ("ablate --matrix nowhere.yaml", "nowhere.yaml: no such file"),
    ("ablate --steps 1,2,3,4", "--steps: List should have at most 3 items after validation, not 4, got ['1', '2',"),
    ("ablate --start scratch", "--start: expected 'random' or 'main', got 'scratch'"),
    ("ablate --preset minni", "--preset: unknown preset 'minni'. Did you mean 'mini'?"),
    ("ablate --main nowhere.safetensors", "--main: nowhere.safetensors: no such weights file"),
    ("ablate --clips 5000", "--clips: expected a number from 1 to 500"),
    ("ablate --frames 1", "--frames: expected 2 to 64, the length of the longest clip of synth, got 1"),
    ("ablate --set stepz=3", "Did you mean 'steps'"),
    ("ablate --metrics ssimm", "unknown metric 'ssimm'. Did you mean 'ssim'?"),
    (f"{ACCEL} --rows fats", "error: --rows: unknown row 'fats'. Did you mean 'fast'?"),
    (f"{ACCEL} --set stepz=3", "error: unknown option of fye-faster 'stepz'"),
    (f"{ACCEL} --set steps=3 --rows fast", "error: fye-faster: cache: fast is made for 30 steps, got 3"),
    (f"{ACCEL} --split both", "error: dataset mini: unknown split 'both'"),
    ("weights fetch vgg61", "unknown weight file 'vgg61'. Did you mean 'vgg16'?"),
    ("weights fetch", "expected names or --all"),
    ("weights fetch vgg16 --all", "expected names or --all"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    line: str, message: str, refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(*shlex.split(line))
    assert list(tmp_path.iterdir()) == []
