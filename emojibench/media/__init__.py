"""Pictures and videos, in and out: the one place that decodes, encodes and resizes.

Everything is uint8 RGB. Files appear whole or not at all; what cannot be read or written
ends in a `UserError` that names the file.
"""

from emojibench.files.writing import atomic, write_bytes, write_text
from emojibench.media.colour import TRANSPARENT_ON
from emojibench.media.decoding import VIDEOS
from emojibench.media.fitting import fit, resizing
from emojibench.media.images import PICTURES, read_image, resize, write_image
from emojibench.media.sequences import is_picture_sequence, numbered_pictures
from emojibench.media.videos import VideoInfo, iterate_video, read_video, video_info
from emojibench.media.writing import WATERMARK, write_lossless, write_preview

__all__ = [
    "PICTURES",
    "TRANSPARENT_ON",
    "VIDEOS",
    "WATERMARK",
    "VideoInfo",
    "atomic",
    "fit",
    "is_picture_sequence",
    "iterate_video",
    "numbered_pictures",
    "read_image",
    "read_video",
    "resize",
    "resizing",
    "video_info",
    "write_bytes",
    "write_image",
    "write_lossless",
    "write_preview",
    "write_text",
]
