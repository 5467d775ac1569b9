"""Explore: recent posts of everybody, and the hashtags that trend, from snapshots that a worker makes."""

import asyncio
from collections.abc import Sequence
from functools import partial

from bson import ObjectId

from datasources.discovery.snapshots import EVERYBODY, Snapshot
from domain.errors import BadInput, CursorExpired
from domain.limits import EXPLORE_KEPT, TRENDING_DEFAULT, TRENDING_MAX
from domain.paging import Page, PageRequest, Place
from domain.records.posts import PostRecord
from domain.records.topics import HashtagRecord
from domain.records.users import AccountStanding
from domain.topics import hashtag_id
from resolvers.root_fields import query
from schema.connection import EMPTY, ConnectionData, PostConnection, visible_page
from schema.context import Info
from schema.fields import After, Before, First, Last
from schema.hashtag import Hashtag

_KEPT_MINUTES = int(EXPLORE_KEPT.total_seconds()) // 60


@query(
    PostConnection | None,
    "Recent posts that everybody may see, for people who do not know whom to follow: those that are liked and "
    "commented on for their age, spread over authors. Posts that are labelled sensitive are not among them, nor those "
    "of people who do not want to be found, whom the viewer has muted, or with whom there is a block. The order is "
    "made every few minutes. A cursor "
    f"leads on in its own order, which is kept for {_KEPT_MINUTES} minutes after the next one was made; then it is "
    "CURSOR_EXPIRED.",
)
async def explore(
    info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> ConnectionData:
    request = PageRequest.of(first, after, last, before)
    snapshot = await _snapshot(info, request)
    if snapshot is None:
        return EMPTY

    async def fetch(step: PageRequest) -> Page[ObjectId]:
        return snapshot.page(step)

    return await visible_page(request, fetch, partial(shown_in_explore, info))


async def shown_in_explore(info: Info, post_ids: Sequence[ObjectId]) -> list[PostRecord | None]:
    """These posts in order; None for one that strangers or the viewer may not see, is sensitive, or is held out.

    Nor are those of accounts that moderators have limited, or that do not want to be found by strangers.
    """
    loaders, discovery = info.context.loaders, info.context.sources.discovery
    listed = await loaders.listed_post_by_id.load_many(post_ids)
    there = [post for post in listed if post is not None and not post.is_sensitive]
    author_ids = list({post.author_id for post in there})
    authors, found = await asyncio.gather(
        loaders.user_by_id.load_many(author_ids), discovery.suggestions.listed(author_ids)
    )
    good = {
        author.id
        for author in authors
        if author is not None and author.id in found and author.standing is AccountStanding.GOOD
    }
    names = {
        post.id: {post.id, post.author_id, *map(hashtag_id, post.hashtags)} for post in there if post.author_id in good
    }
    held = await discovery.holds.held_among(id_ for ids in names.values() for id_ in ids)
    return [post if post is not None and post.id in names and not names[post.id] & held else None for post in listed]


@query(
    list[Hashtag] | None,
    "Hashtags that more people use now than is usual for them, those that rise most first; "
    f"{TRENDING_DEFAULT} unless `first` says otherwise. They are found every few minutes.",
    max_items=TRENDING_MAX,
)
async def trending_hashtags(info: Info, first: First = None) -> list[HashtagRecord]:
    limit = PageRequest.of(TRENDING_DEFAULT if first is None else first).limit
    snapshot = await info.context.sources.discovery.snapshots.latest()
    if snapshot is None or not snapshot.hashtags:
        return []
    held = await info.context.sources.discovery.holds.held_among(map(hashtag_id, snapshot.hashtags))
    names = [name for name in snapshot.hashtags if hashtag_id(name) not in held]
    hashtags = await info.context.loaders.hashtag_by_name.load_many(names)
    return [hashtag for hashtag in hashtags if hashtag.post_count > 0][:limit]


async def _snapshot(info: Info, request: PageRequest) -> Snapshot | None:
    """The latest snapshot or, with cursors, that which they are from; None before the first.

    Raises BadInput, CursorExpired.
    """
    bounds = [bound for bound in (request.after, request.before) if bound is not None]
    places = [bound for bound in bounds if isinstance(bound, Place) and bound.owner_id == EVERYBODY]
    snapshot_ids = {place.snapshot_id for place in places}
    if len(places) < len(bounds) or len(snapshot_ids) > 1:
        raise BadInput("That is not a cursor of this list.")
    snapshots = info.context.sources.discovery.snapshots
    if not snapshot_ids:
        return await snapshots.latest()
    snapshot = await snapshots.find(snapshot_ids.pop())
    if snapshot is None:
        raise CursorExpired
    return snapshot
