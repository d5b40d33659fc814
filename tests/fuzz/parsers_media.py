"""Readers of pictures, videos, weights and trainings."""

import json
from collections.abc import Callable
from pathlib import Path

import mutations
import numpy as np
from reader import Parser, Seeds


def media(files: Seeds) -> list[Parser]:
    from PIL import Image

    from emojibench import media
    from emojibench.media.sound import add_sound
    from emojibench.runs.predictions import Predictions

    ramp = np.linspace(0, 255, 48 * 40 * 3).reshape(48, 40, 3).astype(np.uint8)
    clip = [np.roll(ramp, 3 * k, axis=1) for k in range(6)]

    def saved(**options: object) -> Callable[[Path], object]:
        return lambda path: Image.fromarray(ramp).save(path, **options)

    def video(path: Path) -> None:
        media.video_info(path)
        for frame in media.iterate_video(path):
            assert frame.dtype == np.uint8

    pictures = {
        "plain.jpg": saved(quality=80), "plain.webp": saved(), "plain.gif": saved(), "plain.bmp": saved(),
        "plain.tif": saved(compression="tiff_lzw"),
    }  # fmt: skip
    for number in range(3):
        numbered = files.file("numbered", f"{number:04}.png", saved())
    lossless = files.file("mkv", "clip.mkv", lambda path: media.write_lossless(path, clip, 25))
    preview = files.file("mp4", "clip.mp4", lambda path: media.write_preview(path, clip, 25))
    silent = files.file("silent", "silent.mp4", lambda path: media.write_preview(path, clip, 25))
    others = tuple(
        files.file(name.rpartition(".")[2], name, _encoded) for name in ("clip.webm", "clip.avi", "clip.mov")
    )
    heard = files.file("heard", "heard.mp4", lambda path: _encoded(path, sound=True))

    def predicted(path: Path) -> None:
        made = Predictions(path.parent)
        made.digest(path.stem)
        made.read(path.stem, expected=6, size=(40, 48))

    return [
        Parser(
            "PNG",
            (files.file("png", "plain.png", saved()),),
            media.read_image,
            (mutations.apply, mutations.inside_png, mutations.inside_png),
        ),
        Parser(
            "other pictures",
            tuple(files.file(name.partition(".")[2], name, write) for name, write in pictures.items()),
            media.read_image,
        ),
        Parser("numbered pictures", (numbered,), lambda path: list(media.iterate_video(path.parent))),
        Parser("FFV1 in Matroska", (lossless,), video),
        Parser("H.264 in MP4", (preview,), video),
        Parser("WebM, AVI and MOV", others, video),
        Parser("predictions", (lossless, preview), predicted),
        Parser("sound of a video", (heard,), lambda path: add_sound(silent, path, start=0.0)),
    ]


def _encoded(path: Path, *, sound: bool = False) -> None:
    """A few frames, with a second of a tone where there shall be sound."""
    import av

    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(path.suffix, "libx264")
    with av.open(str(path), "w") as out:
        shown = out.add_stream(codec, rate=25, width=48, height=40, pix_fmt="yuv420p")
        heard = out.add_stream("aac", rate=48000, layout="mono") if sound else None
        for k in range(6):
            picture = np.full((40, 48, 3), 40 * k, np.uint8)
            out.mux(shown.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(shown.encode(None))
        for k in range(12 if heard else 0):
            tone = np.sin(np.arange(1024 * k, 1024 * (k + 1)) / 10)[None].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, 1024 * k
            out.mux(heard.encode(frame))
        if heard:
            out.mux(heard.encode(None))


def weights(files: Seeds) -> list[Parser]:
    import torch
    from emojibench_metrics.networks import load_tensors
    from fye_faster.models import checkpoint, released_weights
    from fye_faster.presets import MINI
    from safetensors.torch import save_file

    state = {"proj.weight": torch.arange(64.0).reshape(8, 8), "proj.bias": torch.ones(8)}
    safe = files.file(
        "safetensors", "w.safetensors", lambda path: save_file(state, path, metadata={"preset": "mini"})
    )
    zipped = files.file("pth", "w.pth", lambda path: torch.save(state, path))
    old = files.file("old", "old.pth", lambda p: torch.save(state, p, _use_new_zipfile_serialization=False))

    def ours(path: Path) -> None:
        checkpoint.as_trained(MINI, path)
        layer = torch.nn.ModuleDict({"proj": torch.nn.Linear(8, 8)})
        layer.preset = MINI
        checkpoint.load(layer, path)

    def official(path: Path) -> None:
        released_weights.fill(torch.nn.ModuleDict({"proj": torch.nn.Linear(8, 8)}), "proj", path)

    archive = (mutations.apply, mutations.apply, mutations.inside_zip)
    return [
        Parser("weights, .safetensors", (safe,), ours, refusal=ValueError),
        Parser("official weights, .pth", (zipped,), official, archive, refusal=ValueError),
        Parser("official weights, older .pth", (old,), official, refusal=ValueError),
        Parser("metric weights, .pth", (zipped,), load_tensors, archive, refusal=ValueError),
    ]


def trainings(files: Seeds) -> list[Parser]:
    """Readers of what `emojibench train` keeps."""
    import torch
    from fye_faster.train import training_state as state

    from emojibench.face.detect import detector_id
    from emojibench.fye import training_data as data

    parameters = [torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(4))]
    optimizer = torch.optim.AdamW(parameters)
    sum(p.sum() for p in parameters).backward()
    optimizer.step()
    moments = {"optimizer": optimizer.state_dict(), "rng": torch.Generator().get_state()}
    checkpoint = "checkpoint-1-000003"
    best = state.Best(error=0.5, step=2)
    digests = {}
    for name in (*state.files(checkpoint), state.best_file(1, best)):
        digests[name] = state.digest(files.file("training", name, name))
    stands = state.State(
        checkpoint=checkpoint, phase=1, step=3, spent=1.5, settings={"seed": 0, "steps": [1, 2, 3, 4]}, sha256=digests,
        best=best.model_copy(update={"sha256": digests.pop(state.best_file(1, best))}),
        numpy=np.random.default_rng(0).bit_generator.state,
    )  # fmt: skip
    kept = files.file("training", state.FILE, stands.model_dump_json())
    optimizers = files.file("moments", f"{checkpoint}.pt", lambda path: torch.save(moments, path))

    def resumed(path: Path) -> None:
        found = state.read(path.parent, 4)
        assert found is not None
        state.differences(found.settings or {}, {"seed": 1}).encode()

    chosen = data.select(3)
    wanted = {
        "source": "synth",
        "count": 2,
        "frames": [0, 1, 2],
        "detector": detector_id(),
        "size": 4,
        "portraits": 2,
    }
    pictures = (2, 4, 4, 4, 3)
    files.file("prepared", "frames.npy", lambda path: np.save(path, np.ones(pictures, np.uint8)))
    files.file(
        "prepared", "landmarks.npy", lambda path: np.save(path, np.full((2, 4, 478, 3), 0.5, np.float32))
    )
    note = files.file("prepared", "done.json", json.dumps({"wanted": wanted, "usable": 2}))

    def prepared(path: Path) -> None:
        found = data._open(path.parent, wanted, pictures, chosen, 1)
        assert found is not None
        assert np.isfinite(found.landmarks).all()

    arrays = tuple(note.with_name(f"{name}.npy") for name in ("frames", "landmarks"))
    archive = (mutations.apply, mutations.inside_zip)
    return [
        Parser("state of a training", (kept,), resumed, refusal=ValueError),
        Parser("optimizer of a training", (optimizers,), lambda path: state.read_moments(path, parameters), archive,
               refusal=ValueError),
        Parser("prepared data, note", (note,), prepared),
        Parser("prepared data, arrays", arrays, prepared),
    ]  # fmt: skip
