"""Decoding one video stream, so that damage anywhere in it is noticed.

A stream is decoded by one thread. FFmpeg tells of some damage (FFV1 checksums, lost Matroska clusters) in its log
only, and only the log of the calling thread is certain to be about the video at hand.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emojibench.errors import MediaError, UserError
from emojibench.files.reading import MissingFileError, open_file

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""FFmpeg's names for MP4, QuickTime, Matroska, WebM and AVI. None of them makes FFmpeg open another file."""
SOUND_CONTAINERS = f"{CONTAINERS},wav,mp3,flac,ogg,aac,aiff"
"""The same for files that may hold sound alone."""
VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v"})
"""Suffixes of videos that are read, in lower case."""
MAX_PIXELS = 1 << 24
"""Most pixels that a frame may have: 4096x4096; decoders hold up to seventeen frames. A larger one is refused before
memory is taken for it."""
_DECODING = {"max_pixels": str(MAX_PIXELS), "threads": "1"}
_DETECT = "crccheck+bitstream+buffer"
_PREFERRED = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that see the transparency of WebM and damage in VP9; FFmpeg's own ones do not. Their pixels are the same."""
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
            for packet in self._packets():
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
        for packet, frames in self._steps():
            due += self._is_shown(packet) and packet.pts is not None
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

        packets = self._packets()
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
                    raise self._damaged(_said(said) or reason(error)) from error
            if trouble := _said(entry for entry in said if entry[1] in voices):
                raise self._damaged(trouble)
            yield packet, frames

    def _packets(self) -> Iterator[Any]:
        """Its packets, without those that are shown before the first key frame.

        They are met where a stream was cut out of a longer one, and refer to what is no longer there.
        """
        key: int | None = None
        for packet in self.container.demux(self.stream):
            if key is None and packet.is_keyframe:
                key = packet.pts
            if key is None or packet.pts is None or packet.pts >= key or packet.is_discard:
                yield packet

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
    with _container(path, CONTAINERS, "video", "MP4, MOV, MKV, WebM or AVI") as container:
        yield _chosen(path, container)


@contextlib.contextmanager
def opened_sound(path: Path) -> Iterator[tuple[Any, Any, float]]:
    """Open a file that may have sound.

    Yields:
        Container, first audio stream (None: it has none), and when its first picture is shown, or its sound begins
        where it has no pictures, in seconds.

    Raises:
        MediaError: no such regular file, not one with sound or pictures, or sound of a kind that is not known.
    """
    kinds = "WAV, MP3, FLAC, OGG, AAC, AIFF, MP4, MOV, MKV, WebM or AVI"
    with _container(path, SOUND_CONTAINERS, "sound file", kinds) as container:
        heard = next(iter(container.streams.audio), None)
        if heard is not None and heard.codec_context is None:
            raise MediaError(f"{path}: its sound is of a kind that FFmpeg does not know")
        first = next(iter(_videos(container)), heard)
        yield container, heard, 0.0 if first is None else float((first.start_time or 0) * first.time_base)


@contextlib.contextmanager
def _container(path: Path, formats: str, what: str, kinds: str) -> Iterator[Any]:
    import av

    _listen()
    try:
        open_file(path).close()
    except MissingFileError:
        raise MediaError(f"{path}: no such {what}") from None
    except UserError as error:
        raise MediaError(str(error)) from error
    only = {"format_whitelist": formats, "protocol_whitelist": "file"}
    try:
        with av.logging.Capture(local=True):
            container = av.open(
                f"file:{path}", options=_DECODING, container_options=only, metadata_errors="replace"
            )
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{path}: not a {what}, or truncated before its index: 0 frames could be decoded ({reason(error)}); "
            f"expected {kinds}"
        ) from error
    with container:
        yield container


def reason(error: Exception) -> str:
    """What FFmpeg says is wrong, in lower case."""
    return str(getattr(error, "strerror", "") or "invalid data").lower()


def _said(entries: Iterable[tuple[int, str, str]]) -> str:
    """The first message of FFmpeg's that matters, or nothing."""
    messages = (message.strip().rstrip(".").lower() for _, _, message in entries)
    return next((message for message in messages if message and not message.startswith(_HARMLESS)), "")


def _videos(container: Any) -> list[Any]:
    """Its video streams, without pictures that only accompany it."""
    import av

    beside = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & beside]


def _chosen(path: Path, container: Any) -> VideoStream:
    import av

    streams = _videos(container)
    if not streams:
        raise MediaError(f"{path}: holds no video stream")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise MediaError(f"{path}: its video codec is unknown; convert it to H.264")
    if context.width * context.height > MAX_PIXELS:
        raise MediaError(
            f"{path}: frames of {context.width}x{context.height} pixels; expected at most {MAX_PIXELS:,}, "
            "make it smaller"
        )
    decoder = context
    preferred = _PREFERRED.get(context.name)
    eight_bits = (
        context.format is not None and context.format.components[0].bits == 8
    )  # all that libvpx is built for
    if preferred in av.codecs_available and eight_bits:
        decoder = av.CodecContext.create(preferred, "r")
    elif stream.metadata.get("alpha_mode") == "1":
        raise MediaError(f"{path}: transparency in WebM cannot be read here; store it as PNG in MOV")
    # H.264 tells of damage without `explode`, with which it refuses streams that were cut without encoding them again.
    detect = _DETECT if context.name == "h264" else f"{_DETECT}+explode"
    decoder.options = {**_DECODING, "err_detect": detect}
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
    # Matroska tells when the last frame ends; a part of a longer video may start late.
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    start = float((stream.start_time or 0) * stream.time_base)
    try:
        length = int(hours) * 3600 + int(minutes) * 60 + float(seconds) - max(0.0, start)
        return round(length * float(stream.average_rate))
    except (ValueError, OverflowError):
        return 0
