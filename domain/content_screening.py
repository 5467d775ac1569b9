"""The contract of the setting `content_screen`: what a screen of posts, profiles and collections gets and returns.

A screen is an async function, named as `module:function`, that may ask moderators to look at what somebody shows:

    async def no_phone_numbers(screened: ScreenedContent) -> Finding:
        has_one = any(sum(map(str.isdigit, text)) > 8 for text in screened.texts)
        return Finding(review_because="a phone number") if has_one else NOTHING_FOUND

Nothing is hidden by it: what a screen finds becomes a report without a reporter.
"""

from collections.abc import Awaitable, Callable

import msgspec

from domain.records.images import ImageRecord
from domain.records.moderation import Target
from domain.records.users import UserRecord


class ScreenedContent(msgspec.Struct, frozen=True, kw_only=True):
    """A post that is READY, a profile, or a collection that others may see; its owner is the target of the last two.

    Whose it is, its words (names, captions, descriptions, notes), its images. The notes of a collection come apart from
    its name and description, a hundred at once.
    """

    target: Target
    owner: UserRecord
    texts: tuple[str, ...]
    images: tuple[ImageRecord, ...]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Why moderators should look, in words for them; None if they need not."""

    review_because: str | None = None


NOTHING_FOUND = Finding()

ContentScreen = Callable[[ScreenedContent], Awaitable[Finding]]
