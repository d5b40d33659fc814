"""Seconds a clip costs by method, frames and size: measured at three sizes, checked on a fourth, extrapolated.

    python benchmarks/cost_model.py [--methods copy-reference,landmark-warp] [--clips 4] [--repeats 2] [--out FOLDER]

A run of one worker is split into what the method takes, writing and reading around it, and scoring. Each part is fitted
by  a + b * frames + c * megapixels  (frames x size^2 / 10^6; non-negative least squares). Frames have a term of their
own because detectors work on pictures of one size, whatever the frames are. Everything is measured --repeats times, in
turns, and the fastest counts: other work on the machine only adds. How far repeats are apart is the noise. The model is
checked against a run at a size and length that it did not see, and extrapolated to 500 clips of 64 frames at 512
pixels, 12 methods, 8 workers. The last is an extrapolation, from the methods and the machine that were measured.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

import emojibench
from emojibench.runs.folder import RunFolder

SEEN = ((64, 16), (64, 64), (128, 32), (256, 16), (256, 64))
UNSEEN = (192, 48)
"""Sizes in pixels and numbers of frames."""
METRICS = ("l1", "psnr", "ssim", "landmarks", "jitter")
PARTS = ("method", "around", "score")
FAR = (512, 64)
CLIPS, METHODS, WORKERS = 500, 12, 8


def measure(method: str, size: int, frames: int, clips: int, out: Path) -> dict[str, float]:
    """Seconds a clip of each part, read off when its files were finished; the first clip, a warm-up, is left out."""
    name = f"{method}-{size}-{frames}"
    how = {"dataset": "synth", "size": size, "frames": frames, "metrics": METRICS, "out": out, "name": name}
    result = emojibench.run(method, clips=clips + 1, quiet=True, overwrite=True, **how)
    assert result.exit_code == 0, result.failed
    folder = RunFolder(result.folder)
    records = [folder.animation(clip) for clip in folder.spec().clips[1:]]
    latency = sum(record.latency or 0.0 for record in records if record) / clips
    animated, scored = (
        _apart(result.folder.glob(pattern)) for pattern in ("animations/*/animation.json", "features/*.npz")
    )
    print(f"{name}: {latency:.3f} + {animated - latency:.3f} + {scored:.3f} s a clip", file=sys.stderr)
    return {"method": latency, "around": max(0.0, animated - latency), "score": scored}


def _apart(files: Iterable[Path]) -> float:
    """Mean seconds from one file to the next."""
    times = sorted(file.stat().st_mtime for file in files)
    return (times[-1] - times[0]) / (len(times) - 1)


def amounts(size: int, frames: int) -> tuple[float, float, float]:
    """What a clip has of each: itself, frames, megapixels."""
    return 1.0, float(frames), frames * size * size / 1e6


def fit(measured: dict[tuple[int, int], dict[str, float]]) -> dict[str, tuple[float, float, float]]:
    """For each part the seconds of any clip, those of a frame, and those of a megapixel."""
    model = {}
    for part in PARTS:
        seconds = np.array([told[part] for told in measured.values()])
        # By relative error: small clips count as much as large ones.
        weights = 1 / np.maximum(seconds, 1e-3)
        columns = np.array([amounts(*shape) for shape in measured]) * weights[:, None]
        start, frame, pixels = nnls(columns, seconds * weights)[0]
        model[part] = (float(start), float(frame), float(pixels))
    return model


def foretold(model: dict[str, tuple[float, float, float]], size: int, frames: int) -> float:
    return float(sum(np.dot(part, amounts(size, frames)) for part in model.values()))


def _total(parts: dict[str, float]) -> float:
    return sum(parts.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", default="copy-reference,landmark-warp")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = given.out or Path(temporary)
        print("| method | part | a clip, s | a frame, ms | a megapixel, s |\n| --- | --- | --- | --- | --- |")
        checks, hours, models = [], [], {}
        for method in given.methods.split(","):
            rounds = [
                {shape: measure(method, *shape, given.clips, out) for shape in (*SEEN, UNSEEN)}
                for _ in range(given.repeats)
            ]
            best = {
                shape: {part: min(each[shape][part] for each in rounds) for part in PARTS}
                for shape in rounds[0]
            }
            told = _total(best.pop(UNSEEN))
            model = models[method] = fit(best)
            for part, (start, frame, pixels) in model.items():
                print(f"| {method} | {part} | {start:.3f} | {1e3 * frame:.1f} | {pixels:.3f} |")
            said = foretold(model, *UNSEEN)
            slower = [_total(each[shape]) / _total(best[shape]) - 1 for each in rounds for shape in SEEN]
            checks.append(f"{method} at {UNSEEN[0]} pixels, {UNSEEN[1]} frames: foretold {said:.2f} s a clip, "
                          f"measured {told:.2f} s ({(said - told) / told:+.0%}); a repeat is up to {max(slower):.0%} "
                          f"slower than the fastest")  # fmt: skip
            hours.append((method, foretold(model, *FAR) * CLIPS * METHODS / WORKERS / 3600))
        print("\n" + "\n".join(checks))
        for method, many in hours:
            print(f"extrapolated, not measured: {CLIPS} clips x {METHODS} methods like {method} at {FAR[0]} pixels, "
                  f"{FAR[1]} frames, on {WORKERS} such workers: {many:.1f} h")  # fmt: skip
        (out / "cost_model.json").write_text(json.dumps(models, indent=2))


if __name__ == "__main__":  # worker processes import this file
    main()
