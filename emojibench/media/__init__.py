"""Pictures and videos, in and out: the one place that decodes, encodes and resizes.

Everything is uint8 RGB. Files appear whole or not at all; what cannot be read or written
ends in a `UserError` that names the file.
"""

from emojibench.media.files import atomic, write_bytes, write_text
from emojibench.media.images import TRANSPARENT_ON, read_image, resize, write_image
from emojibench.media.videos import (
    WATERMARK,
    VideoInfo,
    iterate_video,
    read_video,
    video_info,
    write_lossless,
    write_preview,
)

__all__ = [
    "TRANSPARENT_ON",
    "WATERMARK",
    "VideoInfo",
    "atomic",
    "iterate_video",
    "read_image",
    "read_video",
    "resize",
    "video_info",
    "write_bytes",
    "write_image",
    "write_lossless",
    "write_preview",
    "write_text",
]
