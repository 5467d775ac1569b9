"""Handles (user names): their form, how typed text becomes one, and which are reserved for the staff."""

import re
import string
from collections.abc import Collection

from domain.errors import Refusal, UserErrorCode
from domain.limits import EMAIL_MAX, RAW_PER_CHARACTER, USERNAME_MAX, USERNAME_MIN

# Not IGNORECASE: that would let lookalikes in, such as the long s and the Kelvin sign.
_HANDLE = re.compile(rf"[A-Za-z0-9_](?:[A-Za-z0-9_.]{{{USERNAME_MIN - 2},{USERNAME_MAX - 2}}})[A-Za-z0-9_]")
# What keyboards and copied text leave at either end: spaces, and characters that are not shown.
_EDGE = r"[\s\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
_EDGES = re.compile(rf"^{_EDGE}+|{_EDGE}+$")

PRODUCT = "photogram"
# Who speaks for the service, its machines' names (RFC 2142 and what mail and web servers use), words of its own pages.
RESERVED = frozenset(
    f"""{PRODUCT}
    abuse account accounts admin administrator admins announcements anonymous api app apps auth billing blog bot bots
    business careers ceo cdn compliance contact copyright copyrights deleted dev developer developers dmca dns everyone
    explore feedback finance founder ftp graphql graphiql guest guidelines help helpcenter helpdesk here host hostmaster
    hq imap info infosec inbox invite jobs legal localhost login logout mail mailerdaemon marketing media me mod
    moderation moderator moderators mods news newsletter nobody noc noreply notification notifications null official ops
    owner password payment payments policy pop postmaster press privacy recovery register registrar report root safety
    sales search secure security server service session settings shop signin signup smtp ssl staff status store support
    sysadmin system sysop team terms trust undefined unknown update updates upload usenet uucp verification verified
    verify web webmaster webmail www""".split()
)
NUMBERED_MIN = 5  # letters of a word that still reads as itself with a number after it: support24, but not mod99
_LIKE_LETTERS = str.maketrans("013457l", "oieasti")  # digits that are read as letters; l and i look alike
_SEPARATORS = str.maketrans("", "", "._")


def typed_handle(text: str) -> str:
    """What somebody means who types a handle or a login: without surrounding spaces and one leading `@`."""
    if len(text) > RAW_PER_CHARACTER * EMAIL_MAX:
        return ""
    return _EDGES.sub("", _EDGES.sub("", text).removeprefix("@").removeprefix("\uff20"))


def checked_username(username: str) -> str:
    """The handle that is meant. Raises Refusal unless it has 3 to 30 ASCII letters, digits, dots and underscores."""
    username = typed_handle(username)
    if not _HANDLE.fullmatch(username) or ".." in username:
        message = (
            f"A user name has {USERNAME_MIN} to {USERNAME_MAX} letters, digits, dots and underscores; "
            "it neither starts nor ends with a dot."
        )
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["username"])
    return username


def may_be_handle(text: str) -> bool:
    """Whether who types this may mean a handle."""
    return _HANDLE.fullmatch(typed_handle(text)) is not None


def is_reserved(username: str, more: Collection[str] = ()) -> bool:
    """Whether a handle reads as one of `RESERVED` or of `more`.

    Dots and underscores are ignored, and digits that look like letters count as these. So are digits after a word of
    five letters or more, and the product's name before or after a word.
    """
    plain = username.lower().translate(_SEPARATORS)
    word = plain.rstrip(string.digits)
    looks = {_look(plain), *([_look(word)] if len(word) >= NUMBERED_MIN else [])}
    looks |= {each.removeprefix(_PRODUCT) for each in looks} | {each.removesuffix(_PRODUCT) for each in looks}
    return bool(looks & (_RESERVED_LOOKS | _looks(more)))


def _look(plain: str) -> str:
    return plain.translate(_LIKE_LETTERS)


def _looks(handles: Collection[str]) -> frozenset[str]:
    return frozenset(_look(handle.lower().translate(_SEPARATORS)) for handle in handles)


_PRODUCT = _look(PRODUCT)
_RESERVED_LOOKS = _looks(RESERVED)
