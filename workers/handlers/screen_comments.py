"""New comments are screened, while they are visible already (`docs/design/comments.md`)."""

import asyncio
import inspect
import pkgutil
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from bson import ObjectId

from config import Settings
from datasources.mongo import clock
from datasources.sources import Sources
from domain.comment_screening import ALLOW, Screen, Screened, Verdict
from domain.jobs import Task
from domain.records.comments import CommentRecord
from domain.records.posts import PostRecord
from workers.runtime.handler import Tools

_WORD = re.compile(r"\w+")


class ScreenFailed(Exception):
    """The screen raised, took too long, or returned something else than a Verdict."""


class UnknownScreenError(ValueError):
    """A setting, `comment_screen` or `content_screen`, does not name an async function."""


async def screen_comments(tools: Tools, *keys: str) -> None:
    """Deletes comments that were added while their post or parent was deleted, and hides those the screen objects to.

    Safe to run twice: one write stores the verdict and marks the task done, if the comment is still as it was read. It
    runs after the comment was written, so either it sees the deletion, or the deletion's clean-up sees the comment. A
    comment whose screening fails does not keep the others from theirs.
    """
    sources, now = tools.sources, clock.now()
    pending = await sources.comments.pending(Task.SCREEN, [ObjectId(key) for key in keys])
    comments = [CommentRecord.from_document(document) for document in pending]
    posts = await _posts_of(sources, comments)
    for comment in comments:
        if not comment.deleted and comment.id not in posts:
            await sources.comments.delete(comment.id, now)  # this enqueues SCREEN again, with nothing to do
    verdicts = await asyncio.gather(
        *(_verdict(tools, comment, posts.get(comment.id)) for comment in comments), return_exceptions=True
    )
    allowed = [document for document, verdict in zip(pending, verdicts, strict=True) if verdict == ALLOW]
    await sources.comments.mark_done(allowed, Task.SCREEN)
    for document, verdict in zip(pending, verdicts, strict=True):
        if isinstance(verdict, BaseException):
            raise verdict
        if verdict.hide_because is not None:
            await sources.comments.hide_screened(document, verdict.hide_because, now)


async def _posts_of(sources: Sources, comments: Sequence[CommentRecord]) -> dict[ObjectId, PostRecord]:
    """The post of each of these comments, by comment id; none if the post or the comment's parent is deleted."""
    posts = await sources.posts.by_ids([comment.post_id for comment in comments])
    parent_ids = [comment.parent_id for comment in comments if comment.parent_id is not None]
    parents = await sources.comments.by_ids(parent_ids)
    present = {parent.id for parent in parents if parent is not None and not parent.deleted}
    return {
        comment.id: post
        for comment, post in zip(comments, posts, strict=True)
        if post is not None and not post.deleted and (comment.parent_id is None or comment.parent_id in present)
    }


async def _verdict(tools: Tools, comment: CommentRecord, post: PostRecord | None) -> Verdict:
    settings = tools.sources.settings
    if post is None or not comment.is_shown:
        return ALLOW
    if blocked := first_blocked(comment.text, settings.blocked_words):
        return Verdict(hide_because=f"blocked word: {blocked}")
    if (screen := screen_of(settings)) is None:
        return ALLOW
    (author,) = await tools.sources.users.by_ids([comment.author_id])
    if author is None:
        return ALLOW
    try:
        async with asyncio.timeout(settings.screen_timeout):
            verdict = await screen(Screened(comment=comment, author=author, post=post))
    except Exception as error:
        # Wrapped, because an outage of a server that the screen asks would be taken for an outage of our own.
        raise ScreenFailed(f"{type(error).__name__}: {error}") from error
    if not isinstance(verdict, Verdict):
        raise ScreenFailed(f"it answered {type(verdict).__name__}, not a Verdict")
    return verdict


def first_blocked(text: str, blocked_words: Iterable[str]) -> str | None:
    """The first blocked word that is in a text as a whole word, whatever its case and width."""
    return next(iter(all_blocked(text, blocked_words)), None)


def all_blocked(text: str, blocked_words: Iterable[str]) -> list[str]:
    """The blocked words that are in a text, as `first_blocked` finds them."""
    words = set(_WORD.findall(_folded(text)))
    return [word for word in blocked_words if _folded(word) in words]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def screen_of(settings: Settings) -> Screen | None:
    """The screen that the settings name, imported once; None if they name none. Raises UnknownScreenError."""
    if settings.comment_screen is None:
        return None
    screen: Screen = imported("comment_screen", settings.comment_screen)
    return screen


@cache
def imported(setting: str, name: str) -> Any:
    """The async function that a setting names, imported once. Raises UnknownScreenError."""
    try:
        screen = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownScreenError(f"{setting} {name!r} cannot be imported: {error}") from error
    if not inspect.iscoroutinefunction(screen):
        raise UnknownScreenError(f"{setting} {name!r} is no async function")
    return screen
