"""The messages between a rendering child and its parent: frames of bytes, each after its length.

The parent asks with two frames, what to do and the image; the child answers with one for each pass.
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
    """The child met an error that the pipeline does not know, or used up its memory; `detail` is for the log."""

    reason: Literal["memory", "error"]
    detail: str


class Slow(msgspec.Struct, frozen=True, tag=True):
    """The image is expected to take `seconds`, more than the request allows."""

    seconds: float


class Request(msgspec.Struct, frozen=True):
    """The formats of each pass. An image that is expected to take more than `max_seconds` is not rendered."""

    passes: list[list[RenditionFormat]]
    max_seconds: float | None


encode_request = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode

Answer = Rendered | Refused | Failed | Slow
encode_answer = msgspec.msgpack.Encoder().encode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
