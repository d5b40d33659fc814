"""Decoding one video stream, so that damage anywhere in it is noticed.

A stream is decoded by one thread. FFmpeg tells of some damage (FFV1 checksums, lost Matroska clusters) in its log
only, and only the log of the calling thread is certain to be about the video at hand.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emojibench.errors import MediaError, UserError
from emojibench.reading import MissingFileError, open_file

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""FFmpeg's names for MP4, QuickTime, Matroska, WebM and AVI. None of them makes FFmpeg open another file."""
VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v"})
"""Suffixes of videos that are read, in lower case."""
MAX_PIXELS = 1 << 25
"""Most pixels that a frame may have: 8192x4096. A larger one is refused before memory is taken for it."""
_DECODING = {"err_detect": "crccheck+bitstream+buffer+explode", "max_pixels": str(MAX_PIXELS), "threads": "1"}
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that see the transparency of WebM; FFmpeg's own ones drop it."""
_SKIPS_FRAMES = frozenset({"mpeg4"})
"""Codecs with packets that say no more than "as before", for which no frame comes out."""
_HARMLESS = ("mmco: unref short failure",)
"""What FFmpeg calls an error where a video was cut out of a longer one without encoding it again."""


@dataclass
class VideoStream:
    """An open video at its start."""

    path: Path
    container: Any
    stream: Any
    decoder: Any
    notes: list[str]
    """What to know about the choice of the stream."""
    decoded: int = field(default=0, init=False)
    """Frames that came out so far."""

    def times(self) -> list[float] | None:
        """When its frames are shown, in seconds, ascending, as far as the file can be read; None if it does not say.

        Leaves the stream at its end.
        """
        import av

        times: list[float] = []
        # Decoding says what is wrong with the file.
        with av.logging.Capture(local=True), contextlib.suppress(av.FFmpegError):
            for packet in self.container.demux(self.stream):
                if self._is_shown(packet) and packet.pts is not None:
                    times.append(float(packet.pts * packet.time_base))
        return sorted(times) or None

    def ends_early(self, count: int) -> bool:
        """Whether so few frames are fewer than the header promises: none less for our own, a few for other files."""
        said = promised(self.stream)
        slack = 0 if self.stream.codec_context.name == "ffv1" else max(2, 0.02 * said)
        return count < max(1, said - slack)

    def frames(self) -> Iterator[Any]:
        """Yield PyAV's frames in the order of showing.

        Raises:
            MediaError: after the frames that could be decoded: damaged, or it ends before its header says.
        """
        due = 0
        key: int | None = None
        for packet, frames in self._steps():
            if key is None and packet.is_keyframe:
                key = packet.pts
            # A stream that was cut out of a longer one may start with frames that refer to what is no longer there.
            if key is not None and packet.pts is not None and packet.pts >= key:
                due += self._is_shown(packet)
            for frame in frames:
                if frame.is_corrupt:
                    raise self._damaged("a frame is damaged")
                self.decoded += 1
                yield frame
        if self.ends_early(self.decoded):
            raise self._damaged("the file ends early")
        if self.decoded < due and self.stream.codec_context.name not in _SKIPS_FRAMES:
            raise self._damaged(f"{due - self.decoded} frames are lost")

    def _steps(self) -> Iterator[tuple[Any, list[Any]]]:
        """Each packet and the frames that came out for it."""
        import av

        packets = self.container.demux(self.stream)
        voices = {self.container.format.name, self.decoder.codec.name}
        while True:
            with av.logging.Capture(local=True) as said:
                try:
                    packet = next(packets, None)
                    if packet is None:
                        return
                    if packet.is_corrupt:
                        raise self._damaged("a packet is incomplete")
                    frames = self.decoder.decode(packet)
                except av.FFmpegError as error:
                    raise self._damaged(reason(error)) from error
            for _, voice, message in said:
                if voice in voices and not message.startswith(_HARMLESS):
                    raise self._damaged(message.strip().rstrip(".").lower())
            yield packet, frames

    def _is_shown(self, packet: Any) -> bool:
        """Whether a frame comes out for a packet: not at its end, outside an edit list, or in VP8's hidden ones."""
        if not packet.size or packet.is_discard:
            return False
        return self.stream.codec_context.name != "vp8" or bool(bytes(packet)[0] & 0x10)

    def _damaged(self, what: str) -> MediaError:
        said = promised(self.stream)
        of = f" of {said}" if said else ""
        return MediaError(
            f"{self.path}: truncated or damaged ({what}): {self.decoded}{of} frames could be decoded"
        )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[VideoStream]:
    """Open the first video stream of a file that is no attached picture.

    Raises:
        MediaError: no such regular file, or not a video that is read.
    """
    import av

    _listen()
    try:
        open_file(path).close()
    except MissingFileError:
        raise MediaError(f"{path}: no such video") from None
    except UserError as error:
        raise MediaError(str(error)) from error
    only = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        with av.logging.Capture(local=True):
            container = av.open(
                f"file:{path}", options=_DECODING, container_options=only, metadata_errors="replace"
            )
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{path}: not a video, or truncated before its index: 0 frames could be decoded ({reason(error)}); "
            "expected MP4, MOV, MKV, WebM or AVI"
        ) from error
    with container:
        yield _chosen(path, container)


def reason(error: Exception) -> str:
    """What FFmpeg says is wrong, in lower case."""
    return str(getattr(error, "strerror", "") or "invalid data").lower()


def _chosen(path: Path, container: Any) -> VideoStream:
    import av

    beside = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & beside]
    if not streams:
        raise MediaError(f"{path}: holds no video stream")
    stream = streams[0]
    decoder = stream.codec_context
    if decoder is None:
        raise MediaError(f"{path}: its video codec is unknown; convert it to H.264")
    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1":
        decoder = av.CodecContext.create(_WITH_ALPHA.get(decoder.name, decoder.name), "r")
    decoder.options = _DECODING
    decoder.thread_type = "NONE"
    notes = [f"{len(streams)} video streams, the first is used"] if len(streams) > 1 else []
    return VideoStream(path, container, stream, decoder, notes)


def _listen() -> None:
    """Make FFmpeg's errors available to `VideoStream`; outside it they go to the logger `libav` and nowhere else."""
    import av

    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # else damage that was met once is silent when it is met again
    logger = logging.getLogger("libav")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def promised(stream: Any) -> int:
    """Frames that the header promises, 0 if it does not say.

    Counted by duration: the number of stored frames includes those that an edit list hides.
    """
    if not stream.average_rate:
        return 0
    if stream.duration is not None:
        frames: int = round(stream.duration * stream.time_base * stream.average_rate)
        return frames
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * float(stream.average_rate))
    except (ValueError, OverflowError):
        return 0
