"""Suggested posts: what the ranked feed goes on with when the viewer has read what they follow."""

from collections.abc import Mapping, Sequence

from bson import ObjectId

from domain.feed_ranking import Candidate
from domain.limits import SUGGESTED_MAX
from domain.paging import PageRequest
from domain.records.posts import PostRecord
from domain.suggesting import hashtag_strengths, suggest_posts
from resolvers.explore import shown_in_explore
from resolvers.feed_visibility import by_followed
from schema.context import Info

EXPLORED = 200  # posts of explore that are considered, the best
AUTHORS, THEIR_POSTS = 20, 40  # of whom the viewer cares about most, and their latest posts: the followed are left out


async def suggested_posts(
    info: Info, viewer_id: ObjectId, feed: Sequence[Candidate], strengths: Mapping[ObjectId, float]
) -> list[ObjectId]:
    """Posts to go on with after those of the viewer's feed, best first; none if they do not want any.

    None of them is in the feed, the viewer's own, or of somebody or with a hashtag that they follow.
    """
    sources = info.context.sources
    if not await sources.account.preferences.shows_suggested_posts(viewer_id):
        return []
    snapshot = await sources.discovery.snapshots.latest()
    explored = [] if snapshot is None else snapshot.post_ids[:EXPLORED]
    near = sorted(strengths, key=lambda author_id: (-strengths[author_id], author_id))[:AUTHORS]
    relations = await info.context.loaders.relation_by_user.load_many(near)
    strangers = [each for each, relation in zip(near, relations, strict=True) if not relation.reaches_feed]
    theirs = await sources.posts.shown_by_authors(strangers, PageRequest(limit=THEIR_POSTS)) if strangers else []
    places = {post_id: place for ids in (explored, [row["_id"] for row in theirs]) for place, post_id in enumerate(ids)}
    ids = list(places.keys() - {post.id for post in feed})
    if not ids:
        return []
    found = [post.id for post in await shown_suggested(info, ids) if post is not None]
    placed = [(places[post.id], post) for post in await sources.posts.candidates(found) if post is not None]
    order = suggest_posts(placed, strengths, hashtag_strengths(feed, strengths), SUGGESTED_MAX)
    return [post.id for post in order]


async def shown_suggested(info: Info, post_ids: Sequence[ObjectId]) -> list[PostRecord | None]:
    """These posts in order; None unless a post is in explore for the viewer, and not in their feed by itself."""
    posts = await shown_in_explore(info, post_ids)
    followed = {post.id for post in await by_followed(info, posts) if post is not None}
    return [post if post is not None and post.id not in followed else None for post in posts]
