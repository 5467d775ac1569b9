"""What people write: handles, captions, comments; checking it and finding mentions and hashtags in it.

A length is counted in code points of the normalized text (NFC): the same on every platform, and what `len` says.
Nothing here takes more than linear time, whatever the text.
"""

import itertools
import re
import unicodedata
from urllib.parse import urlsplit

from domain.errors import Refusal, UserErrorCode
from domain.limits import (
    BIOGRAPHY_MAX,
    DISPLAY_NAME_MAX,
    HASHTAG_MAX,
    HASHTAGS_MAX,
    PASSWORD_MAX,
    PASSWORD_MIN,
    USERNAME_MAX,
    USERNAME_MIN,
    WEBSITE_MAX,
)

# Not IGNORECASE: that would let lookalikes in, such as the long s and the Kelvin sign.
_USERNAME = re.compile(rf"[A-Za-z0-9_](?:[A-Za-z0-9_.]{{{USERNAME_MIN - 2},{USERNAME_MAX - 2}}})[A-Za-z0-9_]")
# An address of the web, with or without its scheme; what stands in it is neither a mention nor a hashtag.
_ADDRESS = re.compile(r"(?<![\w.-])(?:https?://|www\.|[\w-]++(?:\.[\w-]++)++/)\S*+", re.IGNORECASE)
# The lookbehinds keep out mail addresses (a@b.c, a-@b.c); the full-width signs are those of Japanese keyboards.
_MENTION = re.compile(rf"(?<![\w@\uff20.])(?<!\w[+%-])[@\uff20]([A-Za-z0-9_][A-Za-z0-9_.]{{0,{USERNAME_MAX - 1}}}+)")
_HASH = re.compile(r"(?<![\w#&])#")
MARKS_MAX = 30  # as in Unicode's stream-safe format; no language has so many
_JOINERS = "\u200c\u200d"  # within words of Persian and of Indian scripts
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_COMMON_PASSWORDS = frozenset(("123456789012", "password1234", "passwordpassword", "qwertyuiop12", "adminadminadmin"))


def normalize(text: str) -> str:
    """Unicode's composed form, without control characters, halves of surrogates and overrides of direction; trimmed."""
    return unicodedata.normalize("NFC", _without_piles(_CONTROL.sub("", text))).strip()


def _without_piles(text: str) -> str:
    """At most `MARKS_MAX` marks on one letter: Python puts a pile of them in order in quadratic time."""
    runs = itertools.groupby(text, lambda character: unicodedata.combining(character) > 0)
    return "".join("".join(itertools.islice(run, MARKS_MAX if is_pile else None)) for is_pile, run in runs)


def mentions(text: str) -> list[str]:
    """The handles mentioned as `@name`, lower case, each once, in order; an address like a@b.c mentions nobody."""
    text = _ADDRESS.sub(" ", text)
    found = (match[1] for match in _MENTION.finditer(text) if _ends(text, match.end()))
    return list(dict.fromkeys(handle.rstrip(".").lower() for handle in found))


def _ends(text: str, at: int) -> bool:
    return not _goes_on(text, at) and text[at : at + 1] not in ("@", "\uff20")


def hashtags(text: str) -> list[str]:
    """The hashtags, without `#`, each once, in order; a tag has 1 to 100 characters, at least one a letter.

    Tags that look or sound the same are the same: they are compatibility-composed (NFKC) and lower case.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _ADDRESS.sub(" ", text)).lower())
    found = (_tag_at(text, hash_sign.end()) for hash_sign in _HASH.finditer(text))
    return list(dict.fromkeys(tag for tag in found if any(character.isalpha() for character in tag)))


def _tag_at(text: str, start: int) -> str:
    """The tag that begins here; empty for none, as for one that is too long, and for the emoji of the `#` key."""
    if start == len(text) or _is_mark(text[start]):
        return ""
    end = start
    while end - start <= HASHTAG_MAX and _goes_on(text, end):
        end += 1
    return text[start:end] if end - start <= HASHTAG_MAX else ""


def _goes_on(text: str, at: int) -> bool:
    """Whether a word goes on here; vowel signs and tone marks, which many scripts write words with, belong to it."""
    if at >= len(text):
        return False
    if text[at] in _JOINERS:
        return at + 1 < len(text) and text[at + 1].isalpha()
    return text[at].isalnum() or text[at] == "_" or _is_mark(text[at])


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def checked_text(text: str, field: str, *, most: int, least: int = 0) -> str:
    """The normalized text. Raises Refusal if it has fewer than `least` or more than `most` code points."""
    text = normalize(text)
    if not least <= len(text) <= most:
        wanted = f"at most {most:,}" if least == 0 else f"{least:,} to {most:,}"
        raise Refusal(UserErrorCode.INVALID_INPUT, f"This must have {wanted} characters.", field=[field])
    return text


def checked_words(text: str, field: str, *, most: int, least: int = 0) -> str:
    """A post's or a comment's words. Raises Refusal if they are too short, too long or have too many hashtags."""
    words = checked_text(text, field, most=most, least=least)
    if len(hashtags(words)) > HASHTAGS_MAX:
        raise Refusal(UserErrorCode.INVALID_INPUT, f"At most {HASHTAGS_MAX} hashtags, please.", field=[field])
    return words


def checked_username(username: str) -> str:
    """The handle as given. Raises Refusal unless it is 3 to 30 ASCII letters, digits, dots (inside) and underscores."""
    if not _USERNAME.fullmatch(username) or ".." in username:
        message = (
            f"A user name has {USERNAME_MIN} to {USERNAME_MAX} letters, digits, dots and underscores; "
            "it neither starts nor ends with a dot."
        )
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["username"])
    return username


def checked_password(password: str, username: str) -> str:
    """The password. Raises Refusal if it is too short, too long, too common or the user's own name."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        message = f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters."
        raise Refusal(UserErrorCode.WEAK_PASSWORD, message, field=["password"])
    if password.lower() in _COMMON_PASSWORDS or len(set(password)) < 4 or password.lower() == username.lower():
        message = "This password is too easy to guess; take a longer phrase."
        raise Refusal(UserErrorCode.WEAK_PASSWORD, message, field=["password"])
    return password


def checked_website(website: str) -> str | None:
    """An http or https address, or None for an empty one. Raises Refusal for anything else."""
    website = checked_text(website, "website", most=WEBSITE_MAX)
    if not website:
        return None
    try:
        parts = urlsplit(website)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in website:
        message = "A website is an address that starts with http:// or https://."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["website"])
    return website


def checked_display_name(name: str) -> str:
    """A name to show, not empty."""
    return checked_text(name, "displayName", least=1, most=DISPLAY_NAME_MAX)


def checked_biography(text: str) -> str | None:
    """Some words about a person, or None for none."""
    return checked_text(text, "biography", most=BIOGRAPHY_MAX) or None
