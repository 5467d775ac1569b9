"""The rules of posts and comments that moderators hid or removed."""

from collections.abc import Callable

from bson import ObjectId

from datasources.moderation.content import BECAUSE
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.records.moderation import ModerationAction
from domain.records.posts import PostStatus
from workers.maintenance.checks.record_rules import Related, Rule

_CHANGES = [each.value for each in (ModerationAction.HIDE, ModerationAction.REMOVE, ModerationAction.RESTORE)]
_OF_STATUS = {
    PostStatus.HIDDEN.value: ModerationAction.HIDE.value,
    PostStatus.REMOVED.value: ModerationAction.REMOVE.value,
}


def _holds_for_post(post: Document) -> str | None:
    """The action of the decision that must hold for a post, by what became of it."""
    return _OF_STATUS.get(post.get("status", ""))


def _holds_for_comment(comment: Document) -> str | None:
    if comment.get("removed"):
        return ModerationAction.REMOVE.value
    return ModerationAction.HIDE.value if comment.get("hidden_because") == BECAUSE else None


def _must_have_decision(collection: str, holding: Callable[[Document], str | None]) -> Rule:
    def is_broken(document: Document, _related: Related) -> object:
        is_there = not document.get("deleted")
        return is_there and holding(document) is not None and document.get("moderated_by") is None

    async def repair(sources: Sources, record_id: ObjectId) -> None:
        """Names the last decision of the log, if that is the one that did this. Raises LookupError otherwise."""
        query = {"_id": record_id, "deleted": False, "moderated_by": None}
        document = await sources.database[collection].find_one(query)
        if document is None or (action := holding(document)) is None:
            return
        about: Document = {"target_id": record_id, "action": {"$in": _CHANGES}}
        latest = await sources.database["decisions"].find_one(about, sort=[("_id", -1)])
        if latest is None or latest["action"] != action:
            raise LookupError("the log does not say which decision did this")
        query |= {name: document[name] for name in ("status", "removed", "hidden") if name in document}
        await sources.database[collection].update_one(query, {"$set": {"moderated_by": latest["_id"]}})

    why = "moderators hid it, and it names no decision"
    return Rule(name="moderated_by", why=why, is_broken=is_broken, repair=repair)


def _is_removed_and_shown(comment: Document, _related: Related) -> object:
    return comment.get("removed") and not comment.get("hidden") and not comment.get("deleted")


async def _hide(sources: Sources, comment_id: ObjectId) -> None:
    await sources.moderation.content.hide_removed(comment_id, clock.now())


POST_HAS_DECISION = _must_have_decision("posts", _holds_for_post)
COMMENT_HAS_DECISION = _must_have_decision("comments", _holds_for_comment)
REMOVED_IS_HIDDEN = Rule(
    name="removed", why="it is removed, and counted as if it were shown", is_broken=_is_removed_and_shown, repair=_hide
)
