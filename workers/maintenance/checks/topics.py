"""What is listed under topics, beside the posts: exactly the posts that everybody may see, each where it belongs.

And by what topics are found, which their own documents say, and where places are shown.

Posts of a version before hashtags had pages are found here too, and listed by the repair.
"""

from collections.abc import Mapping, Sequence

from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.mongo.search_keys import SEARCH
from datasources.posts.listing import as_listed
from datasources.posts.topics import search_fields, to_geojson
from datasources.sources import Sources
from domain.jobs import Task
from domain.places import Point, cell_of, point_of
from domain.topics import hashtag_id, top_score
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot
from workers.maintenance.checks.record_rules import Related, Rule, add_tasks, is_pending, rules_check

UNLISTED, WRONG, UNFOUND = "post.listed", "topic_post.wrong", "topic.search"


async def _find_unlisted(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """Posts whose field `listed`, or whose entries, are not as the post and its author say."""
    found = await find_by_ids(sources.database["posts"], ids, session=session)
    posts = {post_id: post for post_id, post in found.items() if _may_be_listed(post)}
    authors = await _authors(sources, posts, session)
    wanted = {
        post_id: _wanted(post, authors.get(post["author_id"]))
        for post_id, post in posts.items()
        if not is_pending(post, Task.LIST)
        and not any(is_pending(authors.get(post["author_id"]), task) for task in (Task.LIST, Task.CLEAN_UP))
    }
    entries = await _listed(sources, {post_id: wanted[post_id] for post_id in wanted}, session)
    why = "it is not listed under the hashtags and the place that it has, or listed although strangers may not see it"
    return [
        Finding(kind=UNLISTED, id=str(post_id), expected=len(topic_ids), found=len(entries[post_id]), why=why)
        for post_id, topic_ids in wanted.items()
        if not topic_ids == entries[post_id] == set(posts[post_id].get("listed", ()))
    ]


def _may_be_listed(post: Document) -> bool:
    return bool(post.get("hashtags") or post.get("location") or "listed" in post)


def _wanted(post: Document, author: Document | None) -> set[ObjectId | None]:
    """The topics under which a post should be listed; None for a place that it has and is not listed under.

    The place itself was recognised when the post was listed; which one it would be today depends on what came since.
    """
    record = as_listed(post, author)
    if record is None:
        return set()
    place = set() if record.location is None else {post.get("place_id")}
    return {hashtag_id(name) for name in record.hashtags} | place


async def _listed(
    sources: Sources, wanted: Mapping[ObjectId, set[ObjectId | None]], session: Session
) -> dict[ObjectId, set[ObjectId]]:
    """Under which of its topics each post is listed."""
    pairs = [{"topic_id": topic_id, "post_id": post_id} for post_id, ids in wanted.items() for topic_id in ids]
    found: dict[ObjectId, set[ObjectId]] = {post_id: set() for post_id in wanted}
    for start in range(0, len(pairs), MAX_PAIRS):
        query = {"$or": pairs[start : start + MAX_PAIRS], "listed": True}
        async for entry in sources.database["topic_posts"].find(query, session=session):
            found[entry["post_id"]].add(entry["topic_id"])
    return found


async def _find_wrong(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """Entries of posts that are not listed under the topic, that stand elsewhere, or whose topic is missing."""
    entries = await find_by_ids(sources.database["topic_posts"], ids, session=session)
    of_listed = [entry for entry in entries.values() if entry["listed"]]
    post_ids = list({entry["post_id"] for entry in of_listed})
    posts = await find_by_ids(sources.database["posts"], post_ids, session=session)
    topic_ids = list({entry["topic_id"] for entry in of_listed})
    topics = await find_by_ids(sources.database["topics"], topic_ids, projection={"_id": 1}, session=session)
    findings = []
    for entry in of_listed:
        post = posts.get(entry["post_id"])
        if post is not None and is_pending(post, Task.LIST):
            continue
        if post is None or entry["topic_id"] not in post.get("listed", ()):
            findings.append(_wrong(entry, "its post is not listed under the topic"))
        elif entry["score"] != _score(post):
            findings.append(_wrong(entry, "it does not stand where the likes and comments of its post put it"))
        elif entry["topic_id"] not in topics:
            findings.append(_wrong(entry, "there is no such topic"))
    return findings


def _wrong(entry: Document, why: str) -> Finding:
    return Finding(kind=WRONG, id=str(entry["_id"]), why=why)


def _score(post: Document) -> int:
    return top_score(post["created_at"], post.get("like_count", 0), post.get("comment_count", 0))


async def _authors(sources: Sources, posts: Mapping[ObjectId, Document], session: Session) -> dict[ObjectId, Document]:
    author_ids = list({post["author_id"] for post in posts.values()})
    return await find_by_ids(sources.database["users"], author_ids, session=session)


async def _correct(sources: Sources, entry_id: ObjectId) -> None:
    """Has the post listed again, from the topic of this entry too; without a post, the entry is taken off."""
    entry = await sources.database["topic_posts"].find_one({"_id": entry_id})
    if entry is not None:
        await sources.listings.relist_entry(entry["topic_id"], entry["post_id"])


async def _find_unfound(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The topics that are found by other names than they have, or in the wrong place, or not at all."""
    topics = await find_by_ids(sources.database["topics"], ids, session=session)
    why = "a search does not find it by its name, or by others, or not where its number of posts puts it"
    return [
        Finding(kind=UNFOUND, id=str(topic_id), why=why)
        for topic_id, topic in topics.items()
        if topic.get(SEARCH, {}) != search_fields(topic)
    ]


async def _correct_search(sources: Sources, topic_id: ObjectId) -> None:
    await sources.listings.topics.correct_search(topic_id)


def _shows_a_post(topic: Document, _related: Related) -> object:
    """Whether a place is shown elsewhere than `point_of` puts it."""
    return "point" in topic and topic["point"] != _point(topic)


def _point(place: Document) -> Document:
    longitude, latitude = place["point"]["coordinates"]
    return to_geojson(point_of(place["_id"], cell_of(Point(latitude, longitude))))


async def _correct_point(sources: Sources, topic_id: ObjectId) -> None:
    place = await sources.database["topics"].find_one({"_id": topic_id}, {"point": 1})
    if place is not None and "point" in place:
        await sources.database["topics"].update_one({"_id": topic_id}, {"$set": {"point": _point(place)}})


MAX_PAIRS = 500  # in one query
UNLISTED_POSTS = Check(
    collection="posts",
    find=from_snapshot(_find_unlisted),
    repairs={UNLISTED: by_id(add_tasks("posts", Task.LIST))},
    looks_twice=True,
)
TOPIC_POSTS = Check(
    collection="topic_posts",
    find=from_snapshot(_find_wrong),
    repairs={WRONG: by_id(_correct)},
    looks_twice=True,
)
TOPIC_SEARCH = Check(collection="topics", find=from_snapshot(_find_unfound), repairs={UNFOUND: by_id(_correct_search)})
PLACES = rules_check(
    "topics",
    [
        Rule(
            name="point",
            why="a place is shown exactly where somebody's post is",
            is_broken=_shows_a_post,
            repair=_correct_point,
        )
    ],
)
