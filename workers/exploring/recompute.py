"""Makes a snapshot of explore and of the hashtags that trend, from what happened lately.

What is read is bounded, however much happens: `POSTS_READ` posts, `LIKES_READ` likes and `COMMENTS_READ` comments, the
newest; then `SHORTLISTED` posts with who liked them lately or first, and the past of `HASHTAGS_COMPARED` hashtags.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain

from bson import ObjectId

from datasources.discovery.activity import RecentActivity
from datasources.discovery.snapshots import Snapshot
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.exploring import (
    LOW_SHARE,
    MAX_EVIDENCE,
    NEW_ACCOUNT,
    Act,
    Evidence,
    RecentPost,
    act_weight,
    counted_share,
    explore_order,
    explore_score,
    gather_evidence,
)
from domain.limits import EXPLORE_AGE, EXPLORE_MAX, TRENDING_MAX
from domain.records.users import AccountStanding, UserState
from domain.topics import hashtag_id
from domain.trending import PAST, Use, recent_authors, rising, trend_score

POSTS_READ, LIKES_READ, COMMENTS_READ = 3_000, 10_000, 3_000
SHORTLISTED = 1_000  # posts with the most people who liked or commented on them lately, and the newest
NEWEST_SHORTLISTED = 500
TREND_WINDOW = timedelta(hours=24)
HASHTAGS_COMPARED, USES_COUNTED = 100, 1_000
AT_ONCE = 8  # reads

Accounts = Mapping[ObjectId, Document]


async def recompute(sources: Sources, now: datetime) -> Snapshot:
    """Makes and stores a snapshot as of now. Safe to repeat and side by side: the latest is shown."""
    activity = sources.discovery.activity
    read, is_cut = await activity.posts(now - EXPLORE_AGE, POSTS_READ)
    newest = [post for post in read if now - post.created_at <= EXPLORE_AGE]
    evidence = gather_evidence(await activity.acts(now - EXPLORE_AGE, LIKES_READ, COMMENTS_READ))
    posts = await _shortlist(activity, newest, evidence, now)
    authors = await activity.accounts(list({post.author_id for post in (*posts, *newest)}))
    held = await _held_out(sources, (*posts, *newest))

    def is_shown(post: RecentPost) -> bool:
        return _is_open(authors.get(post.author_id)) and not post.is_sensitive and not _topics_and_owner(post) & held

    shares = await _larger_shares(activity, [post for post in posts if is_shown(post)], evidence, now)
    scored = [
        (explore_score(post, shares[post.id], authors[post.author_id].get("follower_count", 0), now), post)
        for post in posts
        if is_shown(post)
    ]
    order = explore_order(scored, EXPLORE_MAX)
    window = _covered(newest, now) if is_cut else TREND_WINDOW
    hashtags = await _trending(activity, newest, authors, is_shown, window, now)
    return await sources.discovery.snapshots.add([post.id for post in order], hashtags, now)


async def _shortlist(
    activity: RecentActivity, newest: Sequence[RecentPost], evidence: Evidence, now: datetime
) -> list[RecentPost]:
    """The newest posts, so that each gets a chance, and those that most people liked or commented on lately."""
    read = {post.id: post for post in newest}
    liked = sorted(evidence, key=lambda post_id: (len(evidence[post_id]), post_id), reverse=True)
    liked = liked[: SHORTLISTED - NEWEST_SHORTLISTED]
    others = await activity.posts_by_ids([post_id for post_id in liked if post_id not in read])
    listed = {post.id: post for post in newest[:NEWEST_SHORTLISTED]}
    listed |= {post_id: read[post_id] for post_id in liked if post_id in read}
    listed |= {post.id: post for post in others if now - post.created_at <= EXPLORE_AGE}
    return list(listed.values())


async def _held_out(sources: Sources, posts: Sequence[RecentPost]) -> set[ObjectId]:
    return await sources.discovery.holds.held_among(each for post in posts for each in _topics_and_owner(post))


def _topics_and_owner(post: RecentPost) -> set[ObjectId]:
    """Everything by which a post may be held out: itself, its author, its hashtags."""
    return {post.id, post.author_id, *map(hashtag_id, post.hashtags)}


async def _larger_shares(
    activity: RecentActivity, posts: Sequence[RecentPost], evidence: Evidence, now: datetime
) -> dict[ObjectId, float]:
    """As `_shares`, or by who gave the first likes if that is larger; else new accounts could push a post out."""
    shares = await _shares(activity, posts, evidence, now)
    low = [post for post in posts if shares[post.id] < LOW_SHARE and post.like_count > len(evidence.get(post.id, {}))]
    turns = asyncio.Semaphore(AT_ONCE)

    async def first_likes(post: RecentPost) -> list[Act]:
        async with turns:
            return await activity.first_likes(post.id, MAX_EVIDENCE)

    first = gather_evidence(chain.from_iterable(await asyncio.gather(*map(first_likes, low))))
    by_first = await _shares(activity, low, first, now)
    return {post_id: max(share, by_first.get(post_id, 0.0)) for post_id, share in shares.items()}


async def _shares(
    activity: RecentActivity, posts: Sequence[RecentPost], evidence: Evidence, now: datetime
) -> dict[ObjectId, float]:
    """The share of its likes and comments that counts, of each post."""
    people = await activity.accounts(list({user_id for post in posts for user_id in evidence.get(post.id, {})}))
    turns = asyncio.Semaphore(AT_ONCE)

    async def share(post: RecentPost) -> float:
        done = evidence.get(post.id, {})
        async with turns:
            followed = await activity.followed_among(post.author_id, list(done))
        weights = {
            user_id: act_weight(
                is_author=user_id == post.author_id,
                is_restricted=not _is_good(account),
                is_followed=user_id in followed,
                age=now - account["created_at"],
            )
            for user_id in done
            if (account := people.get(user_id)) is not None
        }
        return counted_share(done, weights)

    shares = await asyncio.gather(*map(share, posts))
    return dict(zip((post.id for post in posts), shares, strict=True))


async def _trending(
    activity: RecentActivity,
    newest: Sequence[RecentPost],
    authors: Accounts,
    is_shown: Callable[[RecentPost], bool],
    window: timedelta,
    now: datetime,
) -> list[str]:
    """The hashtags that rise most in this time."""
    uses = [
        Use(name, post.author_id, post.created_at)
        for post in newest
        if now - post.created_at <= window and is_shown(post)
        if now - authors[post.author_id]["created_at"] >= NEW_ACCOUNT
        for name in post.hashtags
    ]
    people = recent_authors(uses, now)
    compared = sorted(people, key=lambda name: (-people[name], name))[:HASHTAGS_COMPARED]
    began, turns = now - window, asyncio.Semaphore(AT_ONCE)

    async def score(name: str) -> float:
        async with turns:
            uses, past = await activity.uses(hashtag_id(name), PAST, began, USES_COUNTED)
        return trend_score(people[name], uses, window, past)

    scores = await asyncio.gather(*map(score, compared))
    return rising(dict(zip(compared, scores, strict=True)), TRENDING_MAX)


def _covered(newest: Sequence[RecentPost], now: datetime) -> timedelta:
    """The time that these posts cover, up to `TREND_WINDOW`."""
    age = now - newest[-1].created_at if newest else TREND_WINDOW
    return min(TREND_WINDOW, max(age, timedelta(minutes=1)))


def _is_good(account: Document) -> bool:
    active, good = UserState.ACTIVE.value, AccountStanding.GOOD.value
    return (account.get("state", active), account.get("standing", good)) == (active, good)


def _is_open(account: Document | None) -> bool:
    """Whether strangers see the posts of an account that wants to be found, and moderators have not limited it."""
    if account is None or account.get("is_private", False) or not _is_good(account):
        return False
    return bool(account.get("preferences", {}).get("is_in_search", True))
