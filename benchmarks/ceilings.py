"""What a method can reach at best: the real frames as predictions, and what `mini` makes of their latents.

    python benchmarks/ceilings.py --split self --clips 24 --out ceilings
    emojibench score --predictions ceilings/self/ground-truth --split self --dataset synth --clips 24
    emojibench score --predictions ceilings/self/true-latents --split self --dataset synth --clips 24

`ground-truth` tells which columns have no perfect score: a turned head is less like its portrait, for instance.
`true-latents` is what the autoencoder's decoder composes of the real frames' own latents and of what it is shown beside
them (the portrait, as it stands and warped, and the landmarks): what would be left to miss with a perfect denoiser.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from fye_faster.pipelines.mini import Pipeline, Subject, condition_maps, to_frames, to_tensor
from numpy.typing import NDArray

from emojibench import load_dataset
from emojibench.dataset.clip import Clip
from emojibench.dataset.targets import target_landmarks
from emojibench.face.draw import hold_nearest
from emojibench.media import write_lossless

Frames = NDArray[np.uint8]
FPS = 25.0


@torch.inference_mode()
def through_latents(pipeline: Pipeline, clip: Clip, truth: Frames) -> Frames:
    """Encode the real frames and decode them as `Pipeline.animate` decodes what it denoised."""
    target = hold_nearest(target_landmarks(clip))
    autoencoder, preset = pipeline.model.autoencoder, pipeline.preset
    subject = Subject(clip.portrait, clip.portrait_landmarks, target, preset, pipeline.device)
    parts = []
    for chosen in np.array_split(np.arange(len(truth)), -(-len(truth) // 8)):
        latents = autoencoder.encode(to_tensor(truth[chosen]))
        warped = subject.warped(chosen.tolist())
        maps = condition_maps(target[chosen], preset)
        parts.append(to_frames(autoencoder.decode(latents, warped, subject.still.expand_as(warped), maps)))
    return np.concatenate(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=("self", "cross"), default="self")
    parser.add_argument(
        "--dataset", default="synth", help="mini or synth, whose frames have the preset's size"
    )
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pipeline, dataset = Pipeline.from_preset("mini"), load_dataset(options.dataset)
    for clip_id in dataset.clip_ids(options.split)[: options.clips]:
        clip, truth = dataset.clip(clip_id), dataset.ground_truth(clip_id)
        assert truth is not None, "the built-in datasets know the truth of both splits"
        made = {"ground-truth": truth, "true-latents": through_latents(pipeline, clip, truth)}
        for name, frames in made.items():
            file = options.out / options.split / name / f"{clip_id}.mkv"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_lossless(file, iter(frames), FPS)
        print(clip_id, flush=True)


if __name__ == "__main__":
    main()
