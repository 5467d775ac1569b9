"""Parses JSON strictly, but for two faults that keyboards and editors make."""

import re

import orjson

BOM = b"\xef\xbb\xbf"  # some editors and libraries begin a text with it; RFC 8259 allows to ignore it

# A valid escape, or half of a surrogate pair (a character beyond U+FFFF) without its other half.
_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u]|\\u(?![dD][89a-fA-F]))"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def parse_json(text: bytes | str) -> object:
    """The value of a JSON text in UTF-8. Raises orjson.JSONDecodeError, a ValueError.

    Half of a surrogate pair, the rest of an emoji that a client cut in two, is dropped: it is no character, and no
    field could store it. It costs time only where there is one.
    """
    encoded = text.encode(errors="ignore") if isinstance(text, str) else text
    try:
        return orjson.loads(encoded.removeprefix(BOM))
    except orjson.JSONDecodeError as error:
        if "surrogate" not in str(error):
            raise
    return orjson.loads(_ESCAPE.sub(rb"\1", encoded.removeprefix(BOM)))
