"""Settings that are lists."""

from typing import Annotated

import orjson
from pydantic import BeforeValidator
from pydantic_settings import NoDecode


def split_list(value: object) -> object:
    """The items of a text with commas or of a JSON list; any other value unchanged."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return orjson.loads(value)
    return [item for part in value.split(",") if (item := part.strip())]


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
