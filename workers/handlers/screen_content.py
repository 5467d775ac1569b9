"""Posts, profiles and collections are screened while they are visible: what is found is reported to moderators."""

import asyncio
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bson import ObjectId

from config import Settings
from datasources.mongo import clock
from datasources.sources import Sources
from domain.content_screening import ContentScreen, Finding, ScreenedContent
from domain.image_formats import RenditionFormat
from domain.records.images import ImageRecord
from domain.records.moderation import ReportTargetType, Target
from domain.records.posts import PostStatus
from domain.records.users import UserState
from workers.handlers.known_images import KnownImages
from workers.handlers.screen_comments import ScreenFailed, all_blocked, imported
from workers.runtime.handler import Tools

NOTES_AT_ONCE = 100  # of a collection, in one question to the operator's screen
COMPARED_WIDTH = 320  # of the rendition whose perceptual hash is taken


async def screen_post(tools: Tools, key: str) -> None:
    """Reports a READY post if screening finds something in it. Safe to run twice: a finding is reported once."""
    sources, post_id = tools.sources, ObjectId(key)
    (post,) = await sources.posts.by_ids([post_id])
    if post is None or post.deleted:
        return
    (owner,) = await sources.users.by_ids([post.author_id])
    if post.status is PostStatus.READY and owner is not None:
        place = () if post.location is None else (post.location.name,)
        texts = (post.caption, *place, *(image.alt_text for image in post.images if image.alt_text))
        target = Target(id=post.id, type=ReportTargetType.POST, subject_id=post.author_id)
        await _screen(sources, ScreenedContent(target=target, owner=owner, texts=texts, images=tuple(post.images)))
    await sources.moderation.screening.mark_post_screened(post)


async def screen_profile(tools: Tools, key: str) -> None:
    """Reports an account if screening finds something in its profile. Safe to run twice, as `screen_post`."""
    sources = tools.sources
    (user,) = await sources.users.by_ids([ObjectId(key)])
    if user is None or user.state is UserState.DELETED:
        return
    texts = (user.username, user.display_name, user.biography or "", user.website or "")
    images = () if user.avatar is None else (user.avatar,)
    target = Target(id=user.id, type=ReportTargetType.USER, subject_id=user.id)
    await _screen(sources, ScreenedContent(target=target, owner=user, texts=texts, images=images))
    await sources.moderation.screening.mark_user_screened(user)


async def screen_collection(tools: Tools, key: str) -> None:
    """Reports the owner of a collection that others may see if screening finds something in its words.

    Its words are its name, its description and the notes of its posts. Safe to run twice, as `screen_post`.
    """
    sources = tools.sources
    (collection,) = await sources.saved.collections.by_ids([ObjectId(key)])
    if collection is None or collection.deleted:
        return
    (owner,) = await sources.users.by_ids([collection.owner_id])
    if owner is not None and (collection.is_public or collection.secret is not None):
        target = Target(id=owner.id, type=ReportTargetType.USER, subject_id=owner.id)
        notes = await sources.saved.collection_posts.notes(owner.id, collection.id)
        parts = [notes[start : start + NOTES_AT_ONCE] for start in range(0, len(notes), NOTES_AT_ONCE)]
        for texts in ([collection.name, collection.description or ""], *parts):
            content = ScreenedContent(target=target, owner=owner, texts=tuple(texts), images=())
            await _screen(sources, content, where=f"collection {collection.name!r}: ")
    await sources.saved.collections.mark_screened(collection)


async def _screen(sources: Sources, content: ScreenedContent, where: str = "") -> None:
    """Reports everything that is found, and what is found here before it asks the operator's screen, which may fail."""
    found = [*_blocked(sources.settings, content), *await _in_images(sources, content)]
    await _report(sources, content, where, found)
    if (asked := await _ask_screen(sources.settings, content)) is not None:
        await _report(sources, content, where, [asked])


async def _report(sources: Sources, content: ScreenedContent, where: str, found: Sequence[str]) -> None:
    for each in found:
        finding = f"Screening: {where}{each}".replace("\n", " ")
        await sources.moderation.reports.report_finding(content.target, finding, clock.now())


def _blocked(settings: Settings, content: ScreenedContent) -> list[str]:
    blocked = all_blocked("\n".join(content.texts), settings.blocked_words)
    return [f"blocked word: {', '.join(blocked)}"] if blocked else []


async def _ask_screen(settings: Settings, content: ScreenedContent) -> str | None:
    if settings.content_screen is None:
        return None
    screen: ContentScreen = imported("content_screen", settings.content_screen)
    try:
        async with asyncio.timeout(settings.screen_timeout):
            finding = await screen(content)
    except Exception as error:
        # Wrapped, because an outage of a server that the screen asks would be taken for an outage of our own.
        raise ScreenFailed(f"{type(error).__name__}: {error}") from error
    if not isinstance(finding, Finding):
        raise ScreenFailed(f"it answered {type(finding).__name__}, not a Finding")
    return finding.review_because


async def _in_images(sources: Sources, content: ScreenedContent) -> list[str]:
    known, found = known_images_of(sources.settings), list[str]()
    if known is None:
        return found
    owner_id, image_ids = content.owner.id, [image.id for image in content.images]
    for digest in (await sources.moderation.screening.digests(owner_id, image_ids)).values():
        if (about := known.find_file(digest)) is not None:
            found.append(f"known file: {about}")
    for image in content.images if known.has_images else ():
        data = await sources.blobs.read_media(_compared(image))
        if data is not None and (about := await known.find_image(data)) is not None:
            found.append(f"like a known image: {about}")
    return found


def _compared(image: ImageRecord) -> str:
    """The key of the smallest rendition in a common format that is as wide as is compared, or of the widest."""
    common = [each for each in image.renditions if each.format in (RenditionFormat.JPEG, RenditionFormat.PNG)]
    widest_first = sorted(common or image.renditions, key=lambda each: each.width, reverse=True)
    return next((each for each in reversed(widest_first) if each.width >= COMPARED_WIDTH), widest_first[0]).key


def known_images_of(settings: Settings) -> KnownImages | None:
    """The lists that the settings name, read once; None if they name none. Raises UnknownMatchingError."""
    if settings.known_files is None and settings.known_images is None:
        return None
    return _opened(settings.known_files, settings.known_images, settings.known_images_distance)


@cache
def _opened(files: Path | None, images: Path | None, distance: int) -> KnownImages:
    return KnownImages(files, images, distance)


def check_screening(settings: Settings) -> None:
    """Raises UnknownScreenError or UnknownMatchingError if what the settings name is not there."""
    if settings.content_screen is not None:
        imported("content_screen", settings.content_screen)
    known_images_of(settings)
