"""Which image formats this installation takes."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

from domain.errors import Refusal, UserErrorCode
from domain.image_formats import SourceFormat

_DECODERS = {SourceFormat.HEIC: "pillow_heif"}  # optional: pip install photogram[heic]


@cache
def formats_taken() -> tuple[SourceFormat, ...]:
    """All formats whose decoder is installed, in the order of `SourceFormat`."""
    return tuple(each for each in SourceFormat if each not in _DECODERS or find_spec(_DECODERS[each]) is not None)


def format_taken(head: bytes, *, field: Sequence[str] = ()) -> SourceFormat:
    """The format of a file by its first `SIGNATURE_BYTES` bytes. Raises Refusal (UNSUPPORTED_FORMAT)."""
    return check_taken(SourceFormat.of(head), field=field)


def check_taken(image_format: SourceFormat | None, *, field: Sequence[str] = ()) -> SourceFormat:
    """The format, which this installation takes. Raises Refusal (UNSUPPORTED_FORMAT) if it does not."""
    if image_format is None or image_format not in formats_taken():
        *others, last = (each.label for each in formats_taken())
        message = f"This is not an image that we take: {', '.join(others)} or {last}."
        raise Refusal(UserErrorCode.UNSUPPORTED_FORMAT, message, field=list(field) or None)
    return image_format
