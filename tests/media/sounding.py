"""Videos with sound, for tests."""

from pathlib import Path

import av
import numpy as np

RATE = 24000


def tone(seconds: float, begin: float, end: float) -> np.ndarray:
    """(n,) silence, with a tone of 440 Hz from `begin` to `end` seconds."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * 440 * time) * ((time >= begin) & (time < end))).astype(np.float32)


def write_video_with_sound(
    path: Path, frames: np.ndarray, fps: int, sound: np.ndarray | None = None, codec: str = "pcm_s16le"
) -> None:
    """Lossless frames (T, H, W, 3), and sound (n,) of any codec; a tone all along by default."""
    sound = tone(len(frames) / fps, 0, np.inf) if sound is None else sound
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("ffv1", rate=fps)
        pictures.height, pictures.width = frames.shape[1:3]
        pictures.pix_fmt = "bgr0"
        heard = out.add_stream(codec, rate=RATE, layout="mono")
        for frame in frames:
            out.mux(pictures.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(pictures.encode(None))
        resampler = av.AudioResampler(
            format=heard.codec_context.format, layout="mono", rate=heard.codec_context.rate
        )
        samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        samples.sample_rate, samples.pts = RATE, 0
        for part in (samples, None):
            for resampled in resampler.resample(part):
                out.mux(heard.encode(resampled))
        out.mux(heard.encode(None))
