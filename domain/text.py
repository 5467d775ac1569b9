"""Checks texts that people write, such as captions and names, and finds mentions and hashtags in them.

A length is in code points of the normalized text (NFC): the same on every platform, and what `len` returns. Everything
here takes linear time, whatever the text. A text that is far too long is refused unread.
"""

import unicodedata
from urllib.parse import urlsplit

import regex

from domain.errors import Refusal, UserErrorCode
from domain.limits import (
    BIOGRAPHY_MAX,
    DISPLAY_NAME_MAX,
    HASHTAG_MAX,
    HASHTAGS_MAX,
    RAW_PER_CHARACTER,
    USERNAME_MAX,
    WEBSITE_MAX,
)

# What a handle or a mail address can go on with. Scripts without spaces write `謝謝@ben` and `@benさん` in one.
_WRITTEN = r"\p{Latin}0-9_"
# An address of the web, with or without its scheme; what stands in it is neither a mention nor a hashtag.
_ADDRESS = regex.compile(
    rf"(?:(?<![{_WRITTEN}.-])(?:https?://|www\.)|(?<![\w.-])[\w-]++(?:\.[\w-]++)++/)\S*+", regex.IGNORECASE
)
# The lookbehinds keep out mail addresses (a@b.c, a-@b.c); the full-width signs are those of Japanese keyboards.
_MENTION = regex.compile(
    rf"(?<![{_WRITTEN}.@\uff20])(?<![{_WRITTEN}][+%-])[@\uff20]"
    rf"([A-Za-z0-9_][A-Za-z0-9_.]{{0,{USERNAME_MAX - 1}}}+)(?![{_WRITTEN}\p{{M}}@\uff20])"
)
# UAX 31's hashtag identifiers without emoji, `+` and `-`. Middle dots are within a word, never at its end; joiners
# stand before letters (Persian, scripts of India). `\G`: a tag may begin where another ends.
_WORD = r"[[\p{XID_Continue}\p{M}]--[\u00b7\u0387\u30fb\u200c\u200d]]++"
_HASHTAG = regex.compile(
    rf"(?:(?<![{_WRITTEN}#&])|\G)#(?!\p{{M}})({_WORD}(?:(?:[\u00b7\u30fb]|[\u200c\u200d](?=\p{{L}})){_WORD})*+)",
    regex.VERSION1,
)
_LETTER = regex.compile(r"\p{L}")
_LINE_BREAK = regex.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")  # as `str.splitlines`
_BREAK_OR_TAB = regex.compile(rf"{_LINE_BREAK.pattern}|[\t\n]")
_CONTROL = regex.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
# Anything with ink: neither space, control, lone mark nor default ignorable (Hangul fillers, joiners, tags). The rest
# are symbols drawn as nothing: the blank Braille cell, the object replacement, blanks of music and hieroglyphs.
_VISIBLE = regex.compile(
    r"[[\p{L}\p{N}\p{P}\p{S}\p{Co}\p{Cn}\p{Prepended_Concatenation_Mark}]"
    r"--[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800\ufffc\U0001d159\U00013441\U00013442]]",
    regex.VERSION1,
)
MARKS_MAX = 30  # as in Unicode's stream-safe format; no language has so many
_PILE = regex.compile(rf"([^\p{{ccc=0}}]{{{MARKS_MAX}}})[^\p{{ccc=0}}]++")


def normalize(text: str) -> str:
    """Unicode's composed form, without control characters, halves of surrogates and overrides of direction; trimmed.

    Every kind of line break becomes a line feed. A text in which nothing can be seen is empty.
    """
    text = _without_piles(_CONTROL.sub("", _LINE_BREAK.sub("\n", text)))
    text = _without_piles(unicodedata.normalize("NFC", text)).strip()
    return text if _VISIBLE.search(text) else ""


def _without_piles(text: str) -> str:
    """At most `MARKS_MAX` marks on one letter: Python puts a pile of them in order in quadratic time."""
    return _PILE.sub(r"\1", text)


def mentions(text: str) -> list[str]:
    """The handles mentioned as `@name`, lower case, each once, in order; an address like a@b.c mentions nobody."""
    if "@" not in text and "\uff20" not in text:
        return []
    matches = _MENTION.finditer(_ADDRESS.sub(" ", text))
    return list(dict.fromkeys(match[1].rstrip(".").lower() for match in matches))


def links(text: str) -> list[str]:
    """The addresses of the web, each once, in order: without scheme, `www.`, case, and what stands after the path."""
    found = (match[0].casefold().removeprefix("http://").removeprefix("https://") for match in _ADDRESS.finditer(text))
    return list(dict.fromkeys(regex.split("[?#]", each.removeprefix("www."))[0].rstrip("/.,)") for each in found))


def hashtags(text: str) -> list[str]:
    """The hashtags, without `#`, each once, in order. A tag has 1 to `HASHTAG_MAX` characters, at least one a letter.

    Tags that look or sound the same are the same: they are normalized (NFKC) and lower case.
    """
    text = unicodedata.normalize("NFKC", text)
    if "#" not in text:
        return []
    text = _ADDRESS.sub(" ", text).lower()
    tags = (match[1] for match in _HASHTAG.finditer(unicodedata.normalize("NFKC", text)))
    return list(dict.fromkeys(tag for tag in tags if len(tag) <= HASHTAG_MAX and _LETTER.search(tag)))


def hashtag_name(text: str) -> str | None:
    """The name of a hashtag that somebody writes, with or without `#`, as `hashtags` finds it; None if it is none."""
    if len(text) > RAW_PER_CHARACTER * HASHTAG_MAX:
        return None
    name = unicodedata.normalize("NFKC", normalize(text)).removeprefix("#")
    found = hashtags(f"#{name}")
    return found[0] if found == [unicodedata.normalize("NFKC", name.lower())] else None


def check_raw_length(text: str, field: str, *, max_length: int) -> None:
    """Raises Refusal for a text that is too long however it is normalized. Reads only its length.

    `field` is the path of the input field, joined by dots.
    """
    if len(text) > RAW_PER_CHARACTER * max_length:
        raise _wrong_length(field, max_length=max_length)


def checked_text(text: str, field: str, *, max_length: int, min_length: int = 0) -> str:
    """The normalized text. Raises Refusal if it has fewer than `min_length` or more than `max_length` code points.

    `field` is the path of the input field, joined by dots.
    """
    check_raw_length(text, field, max_length=max_length)
    text = normalize(text)
    if not min_length <= len(text) <= max_length:
        raise _wrong_length(field, max_length=max_length, min_length=min_length)
    return text


def checked_line(text: str, field: str, *, max_length: int, min_length: int = 0) -> str:
    """As `checked_text`, for what is shown on one line: line breaks and tabs become a space."""
    check_raw_length(text, field, max_length=max_length)
    return checked_text(_BREAK_OR_TAB.sub(" ", text), field, max_length=max_length, min_length=min_length)


def _wrong_length(field: str, *, max_length: int, min_length: int = 0) -> Refusal:
    wanted = f"at most {max_length:,}" if min_length == 0 else f"{min_length:,} to {max_length:,}"
    message = f"This must have {wanted} characters{', of which some can be seen' if min_length else ''}."
    return Refusal(UserErrorCode.INVALID_INPUT, message, field=field.split("."))


def checked_words(text: str, field: str, *, max_length: int, min_length: int = 0) -> str:
    """A post's or a comment's words. Raises Refusal if they are too short, too long or have too many hashtags."""
    words = checked_text(text, field, max_length=max_length, min_length=min_length)
    if len(hashtags(words)) > HASHTAGS_MAX:
        raise Refusal(UserErrorCode.INVALID_INPUT, f"At most {HASHTAGS_MAX} hashtags, please.", field=[field])
    return words


def checked_website(website: str) -> str | None:
    """An http or https address, or None for an empty one. Raises Refusal for anything else."""
    website = checked_line(website, "website", max_length=WEBSITE_MAX)
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
    return checked_line(name, "displayName", min_length=1, max_length=DISPLAY_NAME_MAX)


def checked_biography(text: str) -> str | None:
    """Some words about a person, or None for none."""
    return checked_text(text, "biography", max_length=BIOGRAPHY_MAX) or None
