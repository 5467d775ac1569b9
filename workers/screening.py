"""The screening worker: looks at new comments, takes out those that came too late, and hides what a screen objects to.

A comment is visible until it was screened, and stays so if screening it fails: what raises, or takes too long, is
tried again and ends among the dead letters.
"""

import asyncio
import importlib
import inspect
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

from bson import ObjectId

from config import Settings
from datasources.sources import Sources
from domain.records import CommentRecord, PostRecord
from domain.screening import ALLOW, Screen, Screened, Verdict
from workers.work import Tools

_WORD = re.compile(r"\w+")


class ScreenFailed(Exception):
    """The screen raised, took too long or answered something else than a Verdict."""


class UnknownScreenError(ValueError):
    """The setting `comment_screen` names no async function."""


async def screen_comment(tools: Tools, key: str) -> None:
    """Deletes a comment that was added while its post or parent was deleted; else asks the screen whether to hide it.

    Safe to run twice: the verdict is written together with the payment, if the comment is still as it was read. As it
    runs after the comment was written, either it sees the deletion, or the deletion's cleaning sees the comment.
    """
    sources, now = tools.sources, datetime.now(UTC)
    for document in await sources.comments.documents([ObjectId(key)]):
        comment = CommentRecord.from_document(document)
        post = await _post_of(sources, comment)
        if not comment.deleted and post is None:
            await sources.comments.delete(comment.id, now)  # it rings for this effect too, which then has nothing to do
            return
        verdict = ALLOW
        if post is not None and comment.is_shown:
            verdict = await _verdict(tools, comment, post)
        await sources.comments.screened(document, verdict.hide_because, now)


async def _post_of(sources: Sources, comment: CommentRecord) -> PostRecord | None:
    """The post a comment is below; None if that or the comment it replies to is deleted or gone."""
    (post,) = await sources.posts.by_ids([comment.post_id])
    if comment.parent_id is not None:
        (parent,) = await sources.comments.by_ids([comment.parent_id])
        if parent is None or parent.deleted:
            return None
    return None if post is None or post.deleted else post


async def _verdict(tools: Tools, comment: CommentRecord, post: PostRecord) -> Verdict:
    settings = tools.sources.settings
    if blocked := _blocked(comment.text, settings.blocked_words):
        return Verdict(hide_because=f"blocked word: {blocked}")
    screen = screen_of(settings)
    (author,) = await tools.sources.users.by_ids([comment.author_id])
    if screen is None or author is None:
        return ALLOW
    try:
        async with asyncio.timeout(settings.screen_timeout):
            verdict = await screen(Screened(comment=comment, author=author, post=post))
    except Exception as error:
        # Not raised as it is: an outage of what the screen asks would be taken for one of ours and waited for.
        raise ScreenFailed(f"{type(error).__name__}: {error}") from error
    if not isinstance(verdict, Verdict):
        raise ScreenFailed(f"it answered {type(verdict).__name__}, not a Verdict")
    return verdict


def _blocked(text: str, blocked_words: Iterable[str]) -> str | None:
    """The first blocked word that stands in a text as a whole word, whatever its case and width."""
    words = set(_WORD.findall(_folded(text)))
    return next((word for word in blocked_words if _folded(word) in words), None)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def screen_of(settings: Settings) -> Screen | None:
    """The screen that the settings name, imported once; None for none. Raises UnknownScreenError."""
    return None if settings.comment_screen is None else _imported(settings.comment_screen)


@cache
def _imported(name: str) -> Screen:
    module, _, function = name.partition(":")
    try:
        screen: Screen = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownScreenError(f"comment_screen {name!r} cannot be imported: {error}") from error
    if not inspect.iscoroutinefunction(screen):
        raise UnknownScreenError(f"comment_screen {name!r} is no async function")
    return screen
