"""The lists of posts in which people are tagged, against the posts that they are made from.

The task that notifies of a post changes both sides, so that they agree at every moment at which it is not pending. What
belongs to deleted accounts is left to their deletion.
"""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids, find_ids
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.posts import PostStatus
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot
from workers.maintenance.checks.record_rules import accounts_among, is_pending

LISTED = "tagged_post"
UNLISTED = "post.unlisted_tags"


def _tagged(post: Document) -> set[ObjectId]:
    return {tag["user_id"] for image in post.get("images", ()) for tag in image.get("tagged_users", ())}


async def _find_listed(sources: Sources, ids: Sequence[Any], session: Session) -> list[Finding]:
    """The entries of posts that do not tag the person, with no task pending that removes them."""
    fields = {"images.tagged_users.user_id": 1, "deleted": 1, "outbox": 1}
    posts = await find_by_ids(
        sources.database["posts"], list({id_["p"] for id_ in ids}), projection=fields, session=session
    )
    accounts = await accounts_among(sources, {id_["u"] for id_ in ids}, session)
    why = "it is in somebody's list of tagged posts, and does not tag them"
    return [
        Finding(kind=LISTED, id=f"{id_['u']}/{id_['p']}", why=why)
        for id_ in ids
        if id_["u"] in accounts and not _is_right(id_["u"], posts.get(id_["p"]))
    ]


def _is_right(user_id: ObjectId, post: Document | None) -> bool:
    if post is None:
        return False
    return is_pending(post, Task.NOTIFY) or (user_id in _tagged(post) and not post.get("deleted"))


async def _find_unlisted(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The posts that are not in the lists of those whom they tag, with no task pending that adds them."""
    fields = {"images.tagged_users.user_id": 1, "listed_tags": 1}
    rows = await sources.database["posts"].find(_to_be_listed(list(ids)), fields, session=session).to_list()
    named = {user_id for row in rows for user_id in (*_tagged(row), *row.get("listed_tags", ()))}
    accounts = await accounts_among(sources, named, session)
    wanted = {row["_id"]: _tagged(row) & accounts for row in rows}
    pairs = [{"u": user_id, "p": post_id} for post_id, tagged in wanted.items() for user_id in sorted(tagged)]
    there = await find_ids(sources.database["tagged_posts"], {"_id": {"$in": pairs}}, session=session)
    listed = {(id_["u"], id_["p"]) for id_ in there}
    why = "it is not in the lists of those whom it tags"
    return [
        Finding(kind=UNLISTED, id=str(row["_id"]), why=why)
        for row in rows
        if set(row.get("listed_tags", ())) & accounts != wanted[row["_id"]]
        or any((user_id, row["_id"]) not in listed for user_id in wanted[row["_id"]])
    ]


def _to_be_listed(ids: Sequence[ObjectId]) -> Document:
    """A query for those of these posts that must be in the lists of all whom they tag: no task is to add them."""
    ready = {"deleted": False, "status": PostStatus.READY.value, "outbox": {"$ne": Task.NOTIFY.value}}
    return {"_id": {"$in": list(ids)}, **ready}


async def _remove(sources: Sources, finding: Finding) -> None:
    user_id, post_id = map(ObjectId, finding.id.split("/"))
    await sources.tagged_posts.delete(user_id, post_id)


async def _list(sources: Sources, post_id: ObjectId) -> None:
    """Puts a post into the lists of those whom it tags, and notifies nobody.

    Safe to repeat. A concurrent change of the post conflicts with it, and a pending task does it instead.
    """

    async def apply(session: Session) -> None:
        posts = sources.database["posts"]
        post = await posts.find_one(_to_be_listed([post_id]), session=session)
        if post is None:
            return
        tagged = await accounts_among(sources, _tagged(post), session)
        await sources.tagged_posts.set_of_post(post_id, tagged, post.get("listed_tags", ()), session)
        one = {"_id": post_id, "author_id": post["author_id"], "version": post["version"]}
        await posts.update_one(one, {"$set": {"listed_tags": sorted(tagged)}}, session=session)

    await in_transaction(sources.client, apply)


TAGGED_POSTS = (
    Check(collection="tagged_posts", find=from_snapshot(_find_listed), repairs={LISTED: _remove}),
    Check(
        collection="posts",
        find=from_snapshot(_find_unlisted),
        repairs={UNLISTED: by_id(_list)},
    ),
)
