"""People, posts and comments as the product's own stores and workers make them, for `benchmarks.product`."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from bson import ObjectId

from benchmarks.lib.documents import posts, users
from datasources.sources import Sources
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, image, now

VIEWERS = 8  # with the same follows, who take turns
COMMENTERS = 12
POSTS = 24  # a feed page and more
OLDER_POSTS = 12  # of the newest post's author, for their profile
COMMENTS_BELOW = 25  # the newest post, more than a page
AUTHORS_TO_LIKE, POSTS_TO_LIKE_EACH = 300, 5
ACTORS = 50


class Kind(NamedTuple):
    """Whom a viewer follows, and the comments on a post: so many on the first, so many on the second, in turn."""

    authors: int
    is_private: bool
    comments: Sequence[int]


DEMO = Kind(authors=10, is_private=False, comments=(0, 1, 2, 3))
RICH = Kind(authors=20, is_private=True, comments=(3,))


class Scene(NamedTuple):
    """Access tokens of viewers with the same feed, its newest post, and that post's author."""

    tokens: list[str]
    post_id: ObjectId
    author: UserRecord


class Crowd(NamedTuple):
    """Access tokens of people, and posts of others that nobody likes yet."""

    tokens: list[str]
    post_ids: list[ObjectId]


async def make_scene(sources: Sources, kind: Kind) -> Scene:
    """Viewers, whom they follow, and what these posted, with nothing pending; the viewers have notifications."""
    world = World(sources)
    viewers, commenters = await world.users(VIEWERS), await world.users(COMMENTERS)
    authors = [await world.user(is_private=kind.is_private) for _ in range(kind.authors)]
    await _give_avatars(sources, [*viewers, *commenters, *authors])
    for viewer, author in itertools.product(viewers, authors):
        await sources.follows.follow(viewer.id, author.id, is_private=False, now=now())  # so a private one accepts
    await world.open_feeds(*viewers)
    await _notify(world, viewers, commenters)
    for _ in range(OLDER_POSTS):
        await _post(world, authors[(POSTS - 1) % len(authors)])
    shown = [await _post(world, author) for author in itertools.islice(itertools.cycle(authors), POSTS)]
    for number, (post, comments) in enumerate(zip(shown, itertools.cycle(kind.comments), strict=False)):
        for commenter in _some(commenters, number, comments):
            await world.comment(post, commenter, "Where exactly did you stand for this one?")
        for liker in (*viewers[number % 2 :: 2], *_some(commenters, number, number % COMMENTERS)):
            await sources.post_likes.like(post.id, liker.id, now())
    for commenter in itertools.islice(itertools.cycle(commenters), COMMENTS_BELOW):
        await world.comment(shown[-1], commenter, "What a light!")
    await world.drain()
    tokens = [await _token(sources, viewer.id) for viewer in viewers]
    return Scene(tokens, shown[-1].id, await world.stored_user(shown[-1].author_id))


async def make_crowd(sources: Sources) -> Crowd:
    """People to like and to comment, in bulk."""
    actors, authors = await users(sources, ACTORS), await users(sources, AUTHORS_TO_LIKE)
    return Crowd([await _token(sources, actor) for actor in actors], await posts(sources, authors * POSTS_TO_LIKE_EACH))


async def _give_avatars(sources: Sources, people: Sequence[UserRecord]) -> None:
    """Sets public avatars without moving files: nobody fetches them here."""
    for person in people:
        avatar = image(ObjectId()).to_document()
        await sources.database["users"].update_one({"_id": person.id}, {"$set": {"avatar": avatar}})


async def _notify(world: World, viewers: Sequence[UserRecord], commenters: Sequence[UserRecord]) -> None:
    """More than a page of notifications for each viewer: of follows, likes and comments."""
    for viewer in viewers:
        post = await _post(world, viewer)
        for commenter in commenters:
            await world.follow(commenter, viewer)
            await world.comment(post, commenter, "Is this the old pier?")
            await world.sources.post_likes.like(post.id, commenter.id, now())
    await world.drain()


async def _post(world: World, author: UserRecord) -> PostRecord:
    caption = "Low sun over the harbour, just before the rain came in. #harbour #evening"
    return await world.post(author, caption=caption, hashtags=["harbour", "evening"])


def _some(people: Sequence[UserRecord], start: int, count: int) -> Sequence[UserRecord]:
    """So many of them, others for another start."""
    return list(itertools.islice(itertools.cycle(people), start, start + count))


async def _token(sources: Sources, user_id: ObjectId) -> str:
    _, tokens = await sources.sessions.open(user_id, None, now())
    return tokens.access_token
