"""Passwords: how one is prepared before it is hashed, and which ones are too easy to guess."""

import string
import unicodedata
from collections.abc import Callable, Iterator

from domain.errors import Refusal, UserErrorCode
from domain.limits import PASSWORD_MAX, PASSWORD_MIN, RAW_PER_CHARACTER
from domain.usernames import PRODUCT

_TAIL = string.digits + string.punctuation
TAIL_MAX = 8  # a date; what is longer counts as a password of its own
WORD_MIN = 3  # of what is left without the tail
LETTERS_MIN = 4  # different ones


def prepared_password(password: str) -> str:
    """A password as it is hashed and compared: by PRECIS OpaqueString (RFC 8265), whatever keyboard it was typed on.

    Every kind of space is a space, and letters are composed (NFC). Empty for what is far too long to be one.
    """
    if len(password) > RAW_PER_CHARACTER * PASSWORD_MAX:
        return ""
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in password)
    return unicodedata.normalize("NFC", spaced.encode(errors="ignore").decode())


def checked_password(password: str, names: tuple[str, ...], is_common: Callable[[str], bool]) -> str:
    """The prepared password. Raises Refusal (WEAK_PASSWORD) if it is too short, too long or too easy to guess.

    That is: one that `is_common` knows or one of the person's own `names`, in any case, with up to eight digits and
    signs after it or repeated; or one of fewer than four different characters.
    """
    password = prepared_password(password)
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise _weak(f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    own = {_folded(PRODUCT), *(form for name in names for form in _forms(name))}
    forms = set(_forms(password))
    if len(set(password)) < LETTERS_MIN or forms & own or any(is_common(form) for form in forms):
        raise _weak("This password is too easy to guess; take a longer phrase.")
    return password


def _forms(password: str) -> Iterator[str]:
    """What a guesser would begin with: itself, without its tail, and what either repeats."""
    whole = _folded(password).strip()
    word = whole.rstrip(_TAIL)
    for form in (whole, word):
        if len(form) >= WORD_MIN and len(whole) - len(form) <= TAIL_MAX:
            yield form
            yield form[: (form + form).index(form, 1)]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())


def _weak(message: str) -> Refusal:
    return Refusal(UserErrorCode.WEAK_PASSWORD, message, field=["password"])
