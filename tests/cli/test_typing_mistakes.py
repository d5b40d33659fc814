"""A wrong path or name is told before anything heavy is imported."""

import json
import subprocess
import sys

from emojibench.media import write_image

SCRIPT = """
import json, sys
from typer.testing import CliRunner
from emojibench.cli import app
from emojibench.errors import UserError
found = {}
for line in json.load(sys.stdin):
    result = CliRunner().invoke(app, line)
    heavy = {"torch", "cv2", "mediapipe", "scipy", "pandas"} & set(sys.modules)
    found[" ".join(line)] = [isinstance(result.exception, UserError), str(result.exception), sorted(heavy)]
json.dump(found, sys.stdout)
"""


def test_typing_mistakes_are_told_before_heavy_imports(tmp_path):
    import numpy as np

    for name in ("portraits", "driving"):
        (tmp_path / name).mkdir()
    write_image(tmp_path / "portraits" / "anna.png", np.zeros((8, 8, 3), np.uint8))
    picture, folder = str(tmp_path / "portraits" / "anna.png"), str(tmp_path / "driving")
    animate, build = ("animate", "--out", "o.mp4"), ("data", "build", "--out", str(tmp_path / "out"))
    lines = {
        ("train", "--dataset", "/nowhere/data"): "unknown dataset '/nowhere/data'",
        ("train", "--preset", "minni"): "unknown preset 'minni'. Did you mean 'mini'?",
        ("train", "--device", "tpu"): "--device: expected 'cpu' or 'cuda'",
        ("train", "--preset", "paper", "--from", "clip=/nowhere/file"): "--from clip=/nowhere/file: no such file",
        ("ablate", "--dataset", "/nowhere/data"): "unknown dataset '/nowhere/data'",
        ("ablate", "--dataset", folder): "driving: lacks dataset.json or clips.jsonl",
        ("accel", "--matrix", "/nowhere/rows.yaml"): "/nowhere/rows.yaml: no such file; correct --matrix",
        (*animate, "--portrait", picture + "x", "--driving", folder): "no such picture; did you mean anna.png?",
        (*animate, "--portrait", picture, "--driving", "/nowhere/a.mp4"): "/nowhere/a.mp4: no such video",
        (*build, "--portraits", folder + "s", "--driving", folder): "no such folder; did you mean driving?",
        (*build, "--portraits", folder, "--driving", "/nowhere"): "/nowhere: no such folder",
        (*build, "--portraits", folder, "--driving", folder, "--subjects", "/no.csv"): "/no.csv: no such table",
        ("data", "landmarks", "/nowhere/cat.jpg"): "/nowhere/cat.jpg: no such picture",
        ("run", "--method", "copy-referense"): "Did you mean 'copy-reference'?",
        ("score", "--predictions", "/nowhere/videos"): "/nowhere/videos is not one",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(list(lines)), capture_output=True, text=True, check=True
    )  # fmt: skip
    found = json.loads(done.stdout)
    for line, message in lines.items():
        mended, text, heavy = found[" ".join(line)]
        assert (mended, heavy) == (True, []), line
        assert message in text
