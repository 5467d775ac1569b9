"""The messages between a rendering child and its parent: frames of bytes, each preceded by its length.

The parent sends two frames, the request and the image. The child answers with one frame for each pass.
"""

import struct
from typing import Literal

import msgspec

from domain.errors import UserErrorCode
from domain.image_formats import RenditionFormat
from workers.rendering.rendered import Rendered

LENGTH = struct.Struct(">I")
READY = b"ready"


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The image is at fault."""

    code: UserErrorCode
    message: str


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The child had an unexpected error or used up its memory; `detail` is for the log."""

    reason: Literal["memory", "error"]
    detail: str


class Slow(msgspec.Struct, frozen=True, tag=True):
    """The image is expected to take `seconds`, more than the request allows."""

    seconds: float


class Request(msgspec.Struct, frozen=True):
    """The formats of each pass; an image that is expected to take more than `max_seconds` is not rendered."""

    passes: list[list[RenditionFormat]]
    max_seconds: float | None


Answer = Rendered | Refused | Failed | Slow
encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
