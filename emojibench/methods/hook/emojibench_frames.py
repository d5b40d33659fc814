"""Takes frames out of the calls that encode them: NAME.npy, uint8 RGB (T, H, W, 3), and NAME.txt, the video's path.

Covered: imageio and imageio-ffmpeg, OpenCV, PyAV (so torchvision too) and moviepy. What is given as anything else than
8-bit RGB, BGR or grey is not taken: it has lost something already.
"""

import os
import struct
from itertools import count
from typing import Any, Callable, Dict, Optional

_HEADER = 128
"""Bytes of a .npy header: a multiple of 64, and room for any shape."""
_names = count()


class Sink:
    """One video. A frame of another kind or shape than the first, or too many bytes, and there is none."""

    folder = ""
    left = 0
    """Bytes that may still be written, all videos together."""
    note: Callable[[str], None] = staticmethod(lambda problem: None)

    def __init__(self, path: Any) -> None:
        name = f"{os.getpid()}-{next(_names)}"
        self._file: Any = None
        self._base = os.path.join(Sink.folder, name)
        self._path = os.path.abspath(os.fsdecode(path))
        self._shape: Any = None
        self._count = 0
        self._given_up = False

    def add(self, frame: Any) -> None:
        """Take a frame, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8, RGB."""
        if self._given_up:
            return
        try:
            self._add(frame)
        except Exception as error:
            self.give_up(repr(error))

    def _add(self, frame: Any) -> None:
        import numpy as np

        frame = np.asarray(frame)
        if frame.dtype != np.uint8:
            raise ValueError(f"frames of {frame.dtype}")
        if frame.ndim == 2:
            frame = frame[:, :, None]
        if frame.shape[2] == 1:
            frame = np.repeat(frame, 3, axis=2)
        data = np.ascontiguousarray(frame[:, :, :3])
        Sink.left -= data.nbytes
        if Sink.left < 0:
            raise ValueError("too many frames to keep")
        if self._file is None:
            self._shape = data.shape
            self._file = open(self._base + ".npy", "wb")
            with open(self._base + ".txt", "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(self._path)
        if data.shape != self._shape:
            raise ValueError(f"a frame of {data.shape} after one of {self._shape}")
        self._file.seek(_HEADER + self._count * data.nbytes)
        self._file.write(data.tobytes())
        self._count += 1
        self._file.seek(0)
        self._file.write(_header((self._count,) + data.shape))
        self._file.flush()

    def give_up(self, why: str) -> None:
        """Keep no frames of this video."""
        self._given_up = True
        Sink.note(f"{self._path}: {why}")
        if self._file is not None:
            self._file.close()
            os.remove(self._base + ".npy")


def _header(shape: Any) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    length = _HEADER - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"


def patches(folder: str, limit: int, note: Callable[[str], None]) -> Dict[str, Callable[[Any], None]]:
    """Module name to the function that patches it; frames go to `folder`, at most `limit` bytes."""
    Sink.folder, Sink.left, Sink.note = folder, limit, staticmethod(note)  # type: ignore[assignment]
    return {
        "imageio_ffmpeg": _imageio_ffmpeg,
        "cv2": _cv2,
        "av": _av,
        "moviepy.video.io.ffmpeg_writer": _moviepy,
    }


def _imageio_ffmpeg(module: Any) -> None:
    """`write_frames`, which imageio's own writers call, too."""
    original = module.write_frames
    depths = {"gray": 1, "rgb24": 3, "rgba": 4}

    def write_frames(path: Any, size: Any, pix_fmt_in: str = "rgb24", *rest: Any, **named: Any) -> Any:
        writer = original(path, size, pix_fmt_in, *rest, **named)
        if pix_fmt_in not in depths:
            return writer
        return _relay(writer, Sink(path), (size[1], size[0], depths[pix_fmt_in]))

    module.write_frames = write_frames


def _relay(writer: Any, sink: Sink, shape: Any) -> Any:
    import numpy as np

    try:
        writer.send(None)
        while True:
            frame = yield
            sink.add(np.frombuffer(frame, np.uint8).reshape(shape))
            writer.send(frame)
    finally:
        writer.close()


def _cv2(module: Any) -> None:
    real = module.VideoWriter

    class VideoWriter:
        """As OpenCV's; it drops frames of another size than it was opened with, and so does this."""

        fourcc = staticmethod(module.VideoWriter_fourcc)

        def __init__(self, *arguments: Any, **named: Any) -> None:
            self._real = real(*arguments, **named)
            self._expect(arguments, named)

        def _expect(self, arguments: Any, named: Any) -> None:
            path = named.get("filename", arguments[0] if arguments else None)
            self._sink = None if path is None else Sink(path)
            pairs = [value for value in (*arguments, *named.values()) if isinstance(value, (tuple, list))]
            self._size = tuple(pairs[0]) if pairs else None

        def open(self, *arguments: Any, **named: Any) -> Any:
            self._expect(arguments, named)
            return self._real.open(*arguments, **named)

        def write(self, image: Any) -> Any:
            if self._sink is not None and self._real.isOpened():
                if image.shape[1::-1] == self._size:
                    self._sink.add(image[:, :, 2::-1] if image.ndim == 3 and image.shape[2] >= 3 else image)
            return self._real.write(image)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    module.VideoWriter = VideoWriter


class _Proxy:
    """Stands for an object of a compiled class, whose methods cannot be replaced."""

    def __init__(self, real: Any) -> None:
        object.__setattr__(self, "_real", real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)


class _Stream(_Proxy):
    def __init__(self, real: Any, sink: Sink) -> None:
        _Proxy.__init__(self, real)
        object.__setattr__(self, "_sink", sink)

    def encode(self, frame: Any = None) -> Any:
        self._take(frame)
        return self._real.encode(frame)

    def encode_lazy(self, frame: Any = None) -> Any:
        self._take(frame)
        return self._real.encode_lazy(frame)

    def _take(self, frame: Any) -> None:
        if frame is None:
            return
        if frame.format.name.startswith(("rgb", "bgr", "gray8", "gray", "argb", "abgr", "gbrp")):
            self._sink.add(frame.to_ndarray(format="rgb24"))
        else:
            self._sink.give_up(f"frames of {frame.format.name}")


class _Container(_Proxy):
    def __init__(self, real: Any, path: Any) -> None:
        _Proxy.__init__(self, real)
        object.__setattr__(self, "_path", path)

    def add_stream(self, *arguments: Any, **named: Any) -> Any:
        arguments = tuple(getattr(each, "_real", each) for each in arguments)
        named = {key: getattr(each, "_real", each) for key, each in named.items()}
        stream = self._real.add_stream(*arguments, **named)
        return _Stream(stream, Sink(self._path)) if stream.type == "video" else stream

    def __enter__(self) -> Any:
        self._real.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._real.__exit__(*error)


def _av(module: Any) -> None:
    original = module.open

    def opened(file: Any, mode: Optional[str] = None, *arguments: Any, **named: Any) -> Any:
        real = original(file, mode, *arguments, **named)
        path = getattr(file, "name", file)
        writing = str(mode or getattr(file, "mode", "r")).startswith("w")
        return _Container(real, path) if writing and isinstance(path, (str, bytes, os.PathLike)) else real

    module.open = opened


def _moviepy(module: Any) -> None:
    writer = module.FFMPEG_VideoWriter
    begin, write = writer.__init__, writer.write_frame

    def begun(self: Any, filename: Any, *arguments: Any, **named: Any) -> None:
        self._emojibench = Sink(filename)
        begin(self, filename, *arguments, **named)

    def write_frame(self: Any, img_array: Any) -> Any:
        self._emojibench.add(img_array)
        return write(self, img_array)

    writer.__init__, writer.write_frame = begun, write_frame
