"""What people write: handles, captions, comments; checking it and finding mentions and hashtags in it."""

import itertools
import re
import unicodedata
from urllib.parse import urlsplit

from domain.errors import Refusal, UserErrorCode
from domain.limits import (
    BIOGRAPHY_MAX,
    DISPLAY_NAME_MAX,
    HASHTAGS_MAX,
    PASSWORD_MAX,
    PASSWORD_MIN,
    USERNAME_MAX,
    USERNAME_MIN,
    WEBSITE_MAX,
)

# Not IGNORECASE: that would let lookalikes in, such as the long s and the Kelvin sign.
_USERNAME = re.compile(rf"[A-Za-z0-9_](?:[A-Za-z0-9_.]{{{USERNAME_MIN - 2},{USERNAME_MAX - 2}}})[A-Za-z0-9_]")
_MENTION = re.compile(rf"(?<![\w@.])@([A-Za-z0-9_][A-Za-z0-9_.]{{0,{USERNAME_MAX - 1}}})(?!\w)")
_HASH = re.compile(r"(?<![\w#&])#")
HASHTAG_MAX = 100
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_COMMON_PASSWORDS = frozenset(("123456789012", "password1234", "passwordpassword", "qwertyuiop12", "adminadminadmin"))


def normalize(text: str) -> str:
    """Unicode's composed form, without control characters and bidirectional overrides, and trimmed."""
    return unicodedata.normalize("NFC", _CONTROL.sub("", text)).strip()


def mentions(text: str) -> list[str]:
    """The handles mentioned as `@name`, lower case, each once, in order; an address like a@b.c mentions nobody."""
    return list(dict.fromkeys(found.rstrip(".").lower() for found in _MENTION.findall(text)))


def hashtags(text: str) -> list[str]:
    """The hashtags, lower case, without `#`, each once, in order; a tag has at least one letter, of any script."""
    found = (_tag_at(text, hash_sign.end()).lower() for hash_sign in _HASH.finditer(text))
    return list(dict.fromkeys(tag for tag in found if any(character.isalpha() for character in tag)))


def _tag_at(text: str, start: int) -> str:
    return "".join(itertools.takewhile(_goes_on, text[start : start + HASHTAG_MAX]))


def _goes_on(character: str) -> bool:
    """Whether a tag goes on; vowel signs and tone marks, which many scripts write words with, belong to it."""
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def checked_text(text: str, field: str, *, most: int, least: int = 0) -> str:
    """The normalized text. Raises Refusal if it has fewer than `least` or more than `most` characters."""
    text = normalize(text)
    if not least <= len(text) <= most:
        wanted = f"at most {most:,}" if least == 0 else f"{least:,} to {most:,}"
        raise Refusal(UserErrorCode.INVALID_INPUT, f"This must have {wanted} characters.", field=[field])
    return text


def checked_caption(text: str, most: int) -> str:
    """A post's words. Raises Refusal if they are too long or have too many hashtags."""
    caption = checked_text(text, "caption", most=most)
    if len(hashtags(caption)) > HASHTAGS_MAX:
        raise Refusal(UserErrorCode.INVALID_INPUT, f"At most {HASHTAGS_MAX} hashtags, please.", field=["caption"])
    return caption


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
