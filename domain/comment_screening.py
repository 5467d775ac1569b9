"""The contract of the setting `comment_screen`: what a screen of comments gets and returns.

A screen is an async function, named as `module:function`, that may refuse to let a comment stand:

    async def no_shouting(screened: Screened) -> Verdict:
        return Verdict(hide_because="shouting") if screened.comment.text.isupper() else ALLOW
"""

from collections.abc import Awaitable, Callable

import msgspec

from domain.records.comments import CommentRecord
from domain.records.posts import PostRecord
from domain.records.users import UserRecord


class Screened(msgspec.Struct, frozen=True, kw_only=True):
    """A new comment, who wrote it, and the post it is below."""

    comment: CommentRecord
    author: UserRecord
    post: PostRecord


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Why a comment is to be hidden, for the operators; None lets it stand."""

    hide_because: str | None = None


ALLOW = Verdict()

Screen = Callable[[Screened], Awaitable[Verdict]]
