"""Language tags, as apps send them."""

import re

from domain.errors import Refusal, UserErrorCode
from domain.limits import LANGUAGE_MAX

_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def checked_language(tag: str | None) -> str | None:
    """A language tag, such as `de-AT`, in lower case. Raises Refusal (INVALID_INPUT) for what is none."""
    if tag is not None and (len(tag) > LANGUAGE_MAX or not _TAG.fullmatch(tag)):
        raise Refusal(UserErrorCode.INVALID_INPUT, "This is no language tag.", field=["language"])
    return tag and tag.lower()
