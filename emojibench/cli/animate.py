"""`emojibench animate`: one portrait, one driving sequence, one video."""

from pathlib import Path
from typing import Annotated

import typer

from emojibench.extras import require_model


def animate(
    portrait: Annotated[
        Path, typer.Option(help="Picture with one face; a square around the head is cut out.")
    ],
    driving: Annotated[
        Path,
        typer.Option(help="Video, driving landmarks of a dataset (.npz), or official motion file (.npy)."),
    ],
    out: Annotated[Path, typer.Option(help="Video to write, .mp4.")],
    preset: Annotated[
        str,
        typer.Option(
            help="mini; released: Follow-Your-Emoji's public checkpoints; paper: trained by yourself. The "
            "latter two want a GPU."
        ),
    ] = "mini",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights from `emojibench train`; those in the package by default (mini only).", exists=True
        ),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--from", metavar="NAME=PATH", help="For paper: sd15-vae and clip, as in `emojibench train`."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="DDIM steps; the preset's by default.")] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Scale of classifier-free guidance, 1 is off; the preset's by default."),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            help="Cache preset, from exact to fast: none, near-lossless, balanced or fast.",
            show_default="balanced; none with other steps than its 30",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="How clips longer than a window are made: progressive (the paper's), overlap or concatenate.",
            show_default="progressive",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same video.", min=0)] = 0,
    portrait_landmarks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The portrait's 478 landmarks, .npz or .json. By default such a file beside the "
            "picture, or else the detector.",
        ),
    ] = None,
    start: Annotated[int, typer.Option(help="Driving frames to skip.", min=0)] = 0,
    frames: Annotated[
        int | None, typer.Option(help="Driving frames to use at most; all by default.", min=1)
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Frame rate; the driving's by default, 25 for official motion files.", min=1, max=1000
        ),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Precision of the networks: fp32, bf16 or fp16.", show_default="fp32")
    ] = None,
    device: Annotated[str, typer.Option(help="auto (CUDA where there is some), cpu or cuda.")] = "auto",
    detector: Annotated[
        str,
        typer.Option(help="Landmark detector: auto, bundled, task (aligns as the release does), or an id."),
    ] = "auto",
    no_watermark: Annotated[
        bool,
        typer.Option("--no-watermark", help='Do not write the visible "AI-generated" mark into the frames.'),
    ] = False,
    no_audio: Annotated[
        bool, typer.Option("--no-audio", help="Leave out the sound of a driving video.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing video.")] = False,
) -> None:
    """Make a video of one portrait that follows the face in a driving video. Prints the path of the new video."""
    require_model("emojibench animate")
    from emojibench.dataset import locating
    from emojibench.fye.trainable import paths

    locating.existing(portrait, "--portrait", "picture")
    locating.existing(driving, "--driving", "file" if driving.suffix in (".npy", ".npz") else "video")
    if portrait_landmarks is not None:
        locating.existing(portrait_landmarks, "--portrait-landmarks")
    checkpoints = paths(files or [])
    if (
        preset == "paper" and {"sd15-vae", "clip"} <= checkpoints.keys()
    ):  # other mistakes are told by `open_animator`
        for name, path in checkpoints.items():
            locating.existing(path, f"--from {name}")
    typer.echo(f"loading preset {preset} …", err=True)
    from emojibench.fye import animating
    from emojibench.fye.animators import ModelOptions, open_animator
    from emojibench.progress import stage

    animating.check_out(out, overwrite=overwrite)
    animating.check_kind(driving)
    model = ModelOptions(preset, weights, checkpoints, steps, guidance, cache, sampler, dtype, device)
    animating.animate(
        open_animator(model),
        portrait,
        driving,
        out,
        stage=stage,
        tell=lambda line: typer.echo(line, err=True),
        portrait_landmarks=portrait_landmarks,
        start=start,
        frames=frames,
        fps=fps,
        seed=seed,
        detector=detector,
        watermark=not no_watermark,
        audio=not no_audio,
    )
    typer.echo(str(out))
