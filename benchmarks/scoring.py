"""How fast scoring is, beside a straightforward per-frame loop over the same libraries.

    python benchmarks/scoring.py [--clips 50] [--still]

Clips are the last 63 frames of built-in sequences of 64x256x256, against the frames before them, or with --still
against the first frame alone, as `copy-reference` makes them. For each metric both sides run one after the other on the
same clip; values are compared, too. Metrics whose weights cannot be had are left out, and said so. On a busy machine
CPU seconds say more than the clock. Set EMOJIBENCH_WEIGHTS to a folder of weight files to add metrics.
"""

import argparse
import resource
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
from emojibench_metrics.frames import workers
from emojibench_metrics.identity import MOBILEFACENET, PADDING, IdentityMobileFaceNet
from emojibench_metrics.interface import ClipArrays
from emojibench_metrics.l1 import L1
from emojibench_metrics.landmarks import LandmarkAccuracy, landmark_scores
from emojibench_metrics.lpips import LpipsSqueeze
from emojibench_metrics.psnr import Psnr
from emojibench_metrics.ssim import Ssim

from emojibench import weights
from emojibench.errors import UnavailableError
from emojibench.face import open_detector
from emojibench.synth.sequences import frames, sequences

Values = dict[str, float]
Scorer = Callable[[ClipArrays], Values]


def ours(metric: Any) -> Scorer:
    """The values that a run would record."""
    return lambda clip: {name: figure.value for name, figure in metric.measure(clip).items()}


def loop_l1(clip: ClipArrays) -> Values:
    pairs = zip(clip.generated, clip.truth, strict=True)
    return {"l1": float(np.mean([np.abs(a / 255 - b / 255).mean() for a, b in pairs]))}


def loop_psnr(clip: ClipArrays) -> Values:
    from skimage.metrics import peak_signal_noise_ratio as psnr

    pairs = zip(clip.generated, clip.truth, strict=True)
    return {"psnr": float(np.mean([psnr(a / 255, b / 255, data_range=1.0) for a, b in pairs]))}


def loop_ssim(clip: ClipArrays) -> Values:
    from skimage.metrics import structural_similarity as ssim

    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    values: dict[str, list[float]] = {"ssim": [], "ssim_u7": []}
    for a, b in zip(clip.generated, clip.truth, strict=True):
        for name, options in (("ssim", wang), ("ssim_u7", {})):
            values[name].append(ssim(a / 255, b / 255, channel_axis=-1, data_range=1.0, **options))
    return {name: float(np.mean(frames)) for name, frames in values.items()}


def loop_lpips() -> Scorer:
    import torch
    from emojibench_metrics.lpips import package_names
    from emojibench_metrics.networks import load_tensors
    from lpips import LPIPS

    network = LPIPS(net="squeeze", pretrained=False, pnet_rand=True, verbose=False).eval()
    backbone = load_tensors(weights.find("squeezenet1_1-features"))
    network.load_state_dict(package_names("squeeze", backbone), strict=False)
    network.load_state_dict(load_tensors(weights.find("lpips-lin-squeeze")), strict=False)

    def tensor(frame: Any) -> Any:
        return torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 127.5 - 1

    def score(clip: ClipArrays) -> Values:
        with torch.no_grad():
            pairs = zip(clip.generated, clip.truth, strict=True)
            return {"lpips_squeeze": float(np.mean([network(tensor(a), tensor(b)).item() for a, b in pairs]))}

    return score


def loop_identity() -> Scorer:
    import onnxruntime
    from insightface.model_zoo.scrfd import SCRFD
    from insightface.utils.face_align import norm_crop

    detector = SCRFD(str(weights.find(MOBILEFACENET.detector)))
    detector.prepare(0, input_size=(640, 640))
    session = onnxruntime.InferenceSession(str(weights.find(MOBILEFACENET.network)))
    mean, std = np.array(MOBILEFACENET.mean), np.array(MOBILEFACENET.std)

    def embed(frame: Any) -> Any:
        down, right = (round(PADDING * side) for side in frame.shape[:2])
        bgr = np.ascontiguousarray(np.pad(frame, ((down, down), (right, right), (0, 0)))[..., ::-1])
        boxes, points = detector.detect(bgr)
        if not len(boxes):
            return None
        largest = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).argmax()
        rgb = norm_crop(bgr, points[largest])[..., ::-1]
        pixels = ((rgb - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
        vector = session.run(None, {session.get_inputs()[0].name: pixels})[0][0]
        return vector / np.linalg.norm(vector)

    def score(clip: ClipArrays) -> Values:
        portrait = embed(clip.portrait)
        faces = [embed(frame) for frame in clip.generated]
        found = [face for face in faces if face is not None]
        name = MOBILEFACENET.column
        values = {f"{name}_detection": len(found) / len(faces)}
        if portrait is not None and found:
            cosines = [float(portrait @ face) for face in found]
            values |= {name: float(np.mean(cosines)), f"{name}_zero": sum(cosines) / len(faces)}
        return values

    return score


def our_landmarks(stack: ExitStack) -> Scorer:
    detector = stack.enter_context(open_detector())
    metric = LandmarkAccuracy(weights.find)

    def score(clip: ClipArrays) -> Values:
        found = [detector.detect_video(video, fps=25).landmarks for video in (clip.truth, clip.generated)]
        given = ClipArrays(clip.generated, target_landmarks=found[0], generated_landmarks=found[1])
        figures = metric.measure(given)
        return {"landmark_accuracy_478": figures["landmark_accuracy_478"].value}

    return score


def loop_landmarks(stack: ExitStack) -> Scorer:
    detector = stack.enter_context(open_detector())
    missing = np.full((478, 3), np.nan)

    def score(clip: ClipArrays) -> Values:
        found = []
        for video in (clip.truth, clip.generated):
            points = [detector.detect(frame) for frame in video]
            height, width = video.shape[1:3]
            stacked = np.stack([missing if p is None else p for p in points])
            found.append(stacked[..., :2] * [width, height])
        return {"landmark_accuracy_478": landmark_scores(*found).accuracy}

    return score


def sides(stack: ExitStack) -> dict[str, tuple[Scorer, Scorer]]:
    """Metric name to (ours, loop); those without weights are announced and left out."""
    recipes: dict[str, Callable[[], tuple[Scorer, Scorer]]] = {
        "l1": lambda: (ours(L1(weights.find)), loop_l1),
        "psnr": lambda: (ours(Psnr(weights.find)), loop_psnr),
        "ssim, ssim_u7": lambda: (ours(Ssim(weights.find)), loop_ssim),
        "lpips_squeeze": lambda: (ours(LpipsSqueeze(weights.find)), loop_lpips()),
        "id_sim_mobilefacenet": lambda: (ours(IdentityMobileFaceNet(weights.find)), loop_identity()),
        "landmarks (detection too)": lambda: (our_landmarks(stack), loop_landmarks(stack)),
    }
    built = {}
    for name, build in recipes.items():
        try:
            built[name] = build()
        except UnavailableError as error:
            print(f"left out {name}: {error}", file=sys.stderr)
    return built


def clips(count: int, still: bool) -> Any:
    """`count` clips, one at a time: the truth, and as the animation the truth one frame late, or its first one."""
    for sequence in sequences("synth")[:count]:
        truth = np.stack(list(frames(sequence.identity, sequence.motion)))
        generated = np.repeat(truth[:1], len(truth) - 1, axis=0) if still else truth[:-1]
        yield ClipArrays(generated, truth=truth[1:], portrait=truth[0])


def difference(a: Values, b: Values) -> float:
    if a.keys() - {k for k, v in a.items() if v is None} != b.keys():
        raise SystemExit(f"the two sides measured different columns: {a} and {b}")
    return max(abs(a[name] - b[name]) for name in b)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--still", action="store_true")
    chosen = parser.parse_args()
    count = chosen.clips
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")

    with ExitStack() as stack:
        pairs = sides(stack)
        seconds = {name: np.zeros((2, 2)) for name in pairs}  # ours and loop; wall clock and CPU
        worst = dict.fromkeys(pairs, 0.0)
        warm = next(iter(clips(1, chosen.still)))
        warm = ClipArrays(warm.generated[:4], truth=warm.truth[:4], portrait=warm.portrait)
        for pair in pairs.values():
            for scorer in pair:
                scorer(warm)
        for clip in clips(count, chosen.still):
            for name, pair in pairs.items():
                values = []
                for side, scorer in enumerate(pair):
                    start = np.array([time.perf_counter(), time.process_time()])
                    values.append(scorer(clip))
                    seconds[name][side] += [time.perf_counter(), time.process_time()] - start
                worst[name] = max(worst[name], difference(*values))

    print(f"{count} clips of 63x256x256, {workers()} threads\n")
    print(f"{'':28}{'clips/s':>18}{'CPU s/clip':>18}{'ratio':>16}{'values differ':>15}")
    print(
        f"{'metric':28}{'ours':>10}{'loop':>8}{'ours':>10}{'loop':>8}{'wall':>9}{'CPU':>7}{'by at most':>15}"
    )
    for name, spent in [*seconds.items(), ("overall", sum(seconds.values()))]:
        (wall, cpu), (loop_wall, loop_cpu) = spent
        print(
            f"{name:28}{count / wall:10.2f}{count / loop_wall:8.2f}{cpu / count:10.2f}{loop_cpu / count:8.2f}"
            f"{loop_wall / wall:9.2f}{loop_cpu / cpu:7.2f}"
            + (f"{worst[name]:15.0e}" if name in worst else "")
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of both sides together: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
