"""By which words posts are found, beside the posts and their authors.

Posts of a version before captions were searched are found here too; the repair has them listed.
"""

from collections.abc import Sequence

import msgspec
from bson import ObjectId

from datasources.mongo.client import Session
from datasources.mongo.queries import find_by_ids
from datasources.posts.caption_terms import caption_entry
from datasources.sources import Sources
from domain.jobs import Task
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot
from workers.maintenance.checks.record_rules import add_tasks, is_pending

WRONG, LEFT = "post.caption_terms", "caption_terms.post_id"


async def _find_wrong(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """Posts that are found by other words than they have, by nobody, or by those who may not find them."""
    posts = await find_by_ids(sources.database["posts"], ids, session=session)
    author_ids = list({post["author_id"] for post in posts.values()})
    authors = await find_by_ids(sources.database["users"], author_ids, session=session)
    entries = await find_by_ids(sources.database["caption_terms"], ids, session=session)
    why = "a search does not find it by the words of its caption, or by others, or finds it for the wrong people"
    findings = []
    for post_id, post in posts.items():
        author, entry = authors.get(post["author_id"]), entries.get(post_id)
        if is_pending(post, Task.LIST) or any(is_pending(author, task) for task in (Task.LIST, Task.CLEAN_UP)):
            continue
        try:
            expected = caption_entry(post, author, None if entry is None else entry["language"])
        except msgspec.ValidationError:
            continue  # another check reports it
        if entry != expected:
            findings.append(Finding(kind=WRONG, id=str(post_id), why=why))
    return findings


async def _find_left(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """What is stored of posts that are gone."""
    posts = await find_by_ids(sources.database["posts"], ids, projection={"_id": 1}, session=session)
    why = "its post is gone"
    return [Finding(kind=LEFT, id=str(post_id), why=why) for post_id in ids if post_id not in posts]


async def _delete(sources: Sources, post_id: ObjectId) -> None:
    await sources.database["caption_terms"].delete_one({"_id": post_id})


CAPTION_TERMS = (
    Check(
        collection="posts",
        find=from_snapshot(_find_wrong),
        repairs={WRONG: by_id(add_tasks("posts", Task.LIST))},
        looks_twice=True,
    ),
    Check(collection="caption_terms", find=from_snapshot(_find_left), repairs={LEFT: by_id(_delete)}, looks_twice=True),
)
