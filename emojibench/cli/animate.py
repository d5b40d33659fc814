"""`emojibench animate`: one portrait, one driving sequence, one video."""

from pathlib import Path
from typing import Annotated

import typer

from emojibench.cli.flags import key_values
from emojibench.errors import UserError
from emojibench.extras import require_model

MINI = "mini"
"""The preset, unless another is chosen."""


def animate(
    portrait: Annotated[
        Path, typer.Option(help="Picture with one face; a square around the head is cut out.")
    ],
    driving: Annotated[
        Path,
        typer.Option(help="Video, driving landmarks of a dataset (.npz), or official motion file (.npy)."),
    ],
    out: Annotated[Path, typer.Option(help="Video to write, .mp4.")],
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Animate with a registered method (`emojibench methods` lists them), or the YAML file of a command.",
            show_default="the reference model, by --preset",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="With --method: option of the method; repeatable."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="mini; released: Follow-Your-Emoji's public checkpoints; paper: trained by yourself. The "
            "latter two want a GPU.",
            show_default="mini",
        ),
    ] = None,
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
    device: Annotated[
        str | None,
        typer.Option(help="auto (CUDA where there is some), cpu or cuda.", show_default="auto"),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(help="Landmark detector: auto, bundled, task (aligns as the release does), or an id."),
    ] = "auto",
    side_by_side: Annotated[
        bool,
        typer.Option(
            "--side-by-side",
            help="Show the portrait and the driving head, with landmarks, beside the result.",
        ),
    ] = False,
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
    from emojibench.dataset import locating

    model_flags = {
        "--preset": preset, "--weights": weights, "--from": files, "--steps": steps, "--guidance": guidance,
        "--cache": cache, "--sampler": sampler, "--dtype": dtype, "--device": device,
    }  # fmt: skip
    if method is not None:
        _check_method(method, [flag for flag, value in model_flags.items() if value is not None])
    elif options:
        raise UserError(
            "--set: expected together with --method; add it, or use the flags of the reference model"
        )
    else:
        require_model("emojibench animate")
    locating.existing(portrait, "--portrait", "picture")
    locating.existing(driving, "--driving", "file" if driving.suffix in (".npy", ".npz") else "video")
    if portrait_landmarks is not None:
        locating.existing(portrait_landmarks, "--portrait-landmarks")
    if method is None:
        checkpoints = _checkpoints(preset, files)
    typer.echo(f"loading {f'method {method}' if method else f'preset {preset or MINI}'} …", err=True)
    from emojibench.fye import animating
    from emojibench.fye import driving as drivers
    from emojibench.fye.animators import ModelOptions, open_animator, open_method_animator
    from emojibench.progress import stage

    animating.check_out(out, overwrite=overwrite)
    drivers.check_kind(driving)
    if method is None:
        model = ModelOptions(
            preset or MINI, weights, checkpoints, steps, guidance, cache, sampler, dtype, device or "auto"
        )
        animator = open_animator(model)
    else:
        animator = open_method_animator(method, key_values(options))
    animating.animate(
        animator,
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
        side_by_side=side_by_side,
    )
    typer.echo(str(out))


def _check_method(method: str, given: list[str]) -> None:
    """Refuse what is no method, and flags that only the reference model has."""
    from emojibench.methods import finding

    finding.checked(method)
    if given:
        raise UserError(
            f"{', '.join(given)}: for the reference model, not for --method {method}; give the method's own options "
            "with --set KEY=VALUE"
        )


def _checkpoints(preset: str | None, files: list[str] | None) -> "dict[str, Path]":
    """Files of `--from`, by name; that they exist is checked here, other mistakes by `open_animator`."""
    from emojibench.dataset import locating
    from emojibench.fye.trainable import paths

    found = paths(files or [])
    if preset == "paper" and {"sd15-vae", "clip"} <= found.keys():
        for name, path in found.items():
            locating.existing(path, f"--from {name}")
    return found
