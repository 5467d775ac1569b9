"""Passwords: how they are prepared before hashing, and which are too easy to guess."""

import string
import unicodedata
from collections.abc import Callable, Iterator

from domain.errors import Refusal, UserErrorCode
from domain.limits import PASSWORD_MAX, PASSWORD_MIN, RAW_PER_CHARACTER
from domain.usernames import PRODUCT

_TAIL = string.digits + string.punctuation
TAIL_MAX = 8  # a date; a longer tail counts as a password of its own
WORD_MIN = 3  # letters that are left without the tail
LETTERS_MIN = 4  # different ones


def prepared_password(password: str) -> str:
    """A password in the form that is hashed and compared, by PRECIS OpaqueString (RFC 8265): the same on all keyboards.

    Every kind of space becomes a space, and letters are composed (NFC). Empty for a text that is far too long.
    """
    if len(password) > RAW_PER_CHARACTER * PASSWORD_MAX:
        return ""
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in password)
    return unicodedata.normalize("NFC", spaced.encode(errors="ignore").decode())


def checked_password(
    password: str, names: tuple[str, ...], is_common: Callable[[str], bool], *, field: str = "password"
) -> str:
    """The prepared password. Raises Refusal (WEAK_PASSWORD) if it is too short, too long or too easy to guess.

    Too easy to guess are those that `is_common` knows and the person's own `names`, in any case, also repeated or with
    up to eight digits and signs after them; and those with fewer than four different characters.
    """
    password = prepared_password(password)
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise _weak(f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.", field)
    own = {_folded(PRODUCT), *(form for name in names for form in _forms(name))}
    forms = set(_forms(password))
    is_own = bool(forms & own) or any(_is_with_tail(_folded(password).strip(), name) for name in own)
    if len(set(password)) < LETTERS_MIN or is_own or any(is_common(form) for form in forms):
        raise _weak("This password is too easy to guess; take a longer phrase.", field)
    return password


def _forms(password: str) -> Iterator[str]:
    """What a guesser would try: the password, without its tail, and the part that either repeats."""
    whole = _folded(password).strip()
    word = whole.rstrip(_TAIL)
    for form in (whole, word):
        if len(form) >= WORD_MIN and len(whole) - len(form) <= TAIL_MAX:
            yield form
            yield form[: (form + form).index(form, 1)]


def _is_with_tail(whole: str, name: str) -> bool:
    """Whether this is the name with digits and signs after it; the name itself may end with some."""
    tail = whole[len(name) :]
    return whole.startswith(name) and len(tail) <= TAIL_MAX and not tail.strip(_TAIL)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())


def _weak(message: str, field: str) -> Refusal:
    return Refusal(UserErrorCode.WEAK_PASSWORD, message, field=[field])
