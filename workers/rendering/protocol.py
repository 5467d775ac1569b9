"""What a rendering child and its parent say to each other: frames of bytes, each after its length.

The parent asks with two frames, the passes and the image; the child answers with one for each pass.
"""

import struct
from typing import Literal

import msgspec

from domain.errors import UserErrorCode
from domain.limits import RenditionFormat
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


Passes = list[list[RenditionFormat]]
encode_passes = msgspec.msgpack.Encoder().encode
decode_passes = msgspec.msgpack.Decoder(Passes).decode

Answer = Rendered | Refused | Failed
encode_answer = msgspec.msgpack.Encoder().encode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
