"""Somebody's program: animates a portrait, and does one thing wrong on demand (`--fault`)."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def animated(portrait: str, frames: int, seed: int) -> np.ndarray:
    """The portrait rolled sideways, with a square of noise."""
    picture = np.asarray(Image.open(portrait).convert("RGB"))
    video = np.stack([np.roll(picture, 2 * index, axis=1) for index in range(frames)])
    video[:, :8, :8] = np.random.default_rng(seed).integers(0, 256, (frames, 8, 8, 3))
    return video


def write(out: Path, video: np.ndarray, how: str, fps: float) -> None:
    """As PNG files in a folder, or a lossy video by one of the usual writers."""
    size = video.shape[2], video.shape[1]
    if how == "png":
        out.mkdir(exist_ok=True)
        for index, frame in enumerate(video):
            Image.fromarray(frame).save(out / f"{index:03d}.png")
    elif how == "cv2":
        import cv2

        writer = cv2.VideoWriter(str(out), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
        for frame in video:
            writer.write(frame[:, :, ::-1].copy())
        writer.release()
    elif how == "imageio_ffmpeg":
        import imageio_ffmpeg

        writer = imageio_ffmpeg.write_frames(str(out), size, fps=fps)
        writer.send(None)
        for frame in video:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
    elif how in ("moved", "av"):
        import av

        path = out.with_name("silent.mp4") if how == "moved" else out
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=int(fps))
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for frame in video:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        path.rename(out)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("portrait", "driving", "sound", "out", "clips", "elsewhere"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--fps", type=float, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", default="")
    parser.add_argument("--how", default="png")
    given = parser.parse_args()
    lines = (
        [json.loads(line) for line in Path(given.clips).read_text().splitlines()]
        if given.clips
        else [vars(given)]
    )
    print("loading the model in", Path.cwd())
    for line in lines:
        one(given, line)


def one(given: argparse.Namespace, line: dict) -> None:
    fault, out = given.fault, Path(line["out"])
    if fault == "crash":
        raise RuntimeError("CUDA out of memory\nTried to allocate 2.00 GiB.\nSee the documentation.")
    if fault == "stdin":
        input("Overwrite? [y/N] ")
    if fault == "hang":
        print("frame 3 of 8", flush=True)
        time.sleep(600)
    if fault == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if fault == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "memory":
        hog = np.ones(2**27)  # 1 GiB
        time.sleep(600 + hog[0])
    if fault == "gigabytes":
        with (Path.cwd() / "huge").open("wb") as file:
            while True:
                file.write(bytes(2**20))
    if fault == "chatter":
        for _ in range(200_000):
            print("x" * 60)
    if fault == "elsewhere":
        Path(given.elsewhere).write_text("mine")
    if fault == "beside":
        Path("../notes.txt").write_text("mine")
    if fault == "child":
        subprocess.Popen(SLEEPER)
    if fault == "daemon":
        subprocess.Popen(
            SLEEPER, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}
        )
        time.sleep(0.5)
    try:
        video = animated(line["portrait"], line["frames"], line["seed"])
    except OSError:
        if fault != "lenient":
            raise
        video = np.zeros((line["frames"], 32, 32, 3), np.uint8)
    if fault == "state":
        video[:, :4, :4] = os.getpid() % 251
    if fault == "count":
        video = video[:-1]
    if fault == "size":
        video = video[:, : video.shape[1] // 2]
    if fault == "unreadable":
        out.write_bytes(b"not a video")
        return
    if fault == "empty":
        return
    if fault == "tiles":
        video = np.concatenate([np.zeros_like(video), video], axis=2)
    if fault == "skips" and line["clip"].endswith("1"):
        return
    write(out, video, given.how, line["fps"])
    if fault == "two":
        write(out.with_name("other"), video, given.how, line["fps"])
    if fault == "exit":
        print("done, but the cache could not be written")
        raise SystemExit(3)


if __name__ == "__main__":
    main()
