"""Comments: writing and deleting them."""

import strawberry
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency
from datasources.mongo import clock
from datasources.mongo.sharded_ids import new_id
from datasources.targets import CommentTarget
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.limits import COMMENT_MAX
from domain.paging import encode_cursor
from domain.rate_limits import Action
from domain.records.comments import CommentRecord
from domain.records.posts import PostRecord
from domain.text import checked_words
from domain.visibility import can_delete_comment
from resolvers.posts import mentioned_ids, visible_post
from resolvers.root_fields import mutation
from resolvers.spam import count_words
from schema.connection import EdgeData
from schema.context import Info
from schema.payloads import AddCommentPayload, DeleteCommentPayload
from schema.post_inputs import AddCommentInput, CommentIdInput


async def visible_comment(info: Info, global_id: str, field: str = "commentId") -> CommentTarget:
    """The comment a mutation is about. Raises NotFound where the viewer may not see it."""
    target = await _comment(info, global_id)
    if target is None or not target.is_visible:
        raise NotFound("comment", field=[field])
    return target


async def _comment(info: Info, global_id: str) -> CommentTarget | None:
    session, comment_id = info.context.require_session(), expect_id(global_id, "Comment")
    if comment_id is None:
        return None
    find = info.context.sources.targets.comment
    return await find(comment_id, session.user_id, is_restricted=session.is_restricted)


@mutation("Comments on a post or replies to a comment.")
async def add_comment(info: Info, given: AddCommentInput) -> AddCommentPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    idempotency = Idempotency.of(given.idempotency_key, "addComment", strawberry.asdict(given))
    earlier = await sources.commenting.added_earlier(viewer_id, idempotency)
    if earlier is None:
        try:
            return await _add(info, given, idempotency)
        except Refusal:  # perhaps by what has changed since a process of the version before added it
            earlier = await sources.commenting.added_at_older_version(viewer_id, idempotency)
            if earlier is None:
                raise
    target = await sources.targets.comment(earlier.id, viewer_id)
    if target is None or not target.is_visible:
        raise NotFound("comment", field=["idempotencyKey"])
    return _added(earlier, await sources.read_your_writes.post(earlier.post_id, viewer_id))


async def _add(info: Info, given: AddCommentInput, idempotency: Idempotency | None) -> AddCommentPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    target = await visible_post(info, given.post_id)
    parent = None if given.parent_id is None else (await visible_comment(info, given.parent_id, "parentId")).comment
    if parent is not None and (parent.post_id != target.post.id or parent.parent_id is not None):
        message = "A reply answers a comment of the same post that is no reply itself."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["parentId"])
    if not target.post.comments_enabled:
        raise Refusal(UserErrorCode.COMMENTS_OFF, "Comments are off for this post.", field=["postId"])
    text = checked_words(given.text, "text", min_length=1, max_length=COMMENT_MAX)
    await count_words(info, Action.COMMENT, text)
    comment_id = new_id(target.post.author_id)
    comment = await sources.commenting.add(
        target.post.id,
        viewer_id,
        text,
        clock.now(),
        new_id=comment_id,
        parent_id=None if parent is None else parent.id,
        mention_ids=await mentioned_ids(info, text),
        idempotency=idempotency,
    )
    if comment.id == comment_id:
        return _added(comment, target.with_comment(comment))
    return _added(comment, await sources.read_your_writes.post(comment.post_id, viewer_id))


def _added(comment: CommentRecord, post: PostRecord | None) -> AddCommentPayload:
    return AddCommentPayload(comment_edge=EdgeData(encode_cursor(comment.id), comment), post=post)


@mutation(
    "Deletes a comment of the viewer's own, or any comment on the viewer's own post. A block between the viewer and "
    "the other author does not prevent it.",
    while_suspended=True,
)
async def delete_comment(info: Info, given: CommentIdInput) -> DeleteCommentPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    target = _deletable(await _comment(info, given.comment_id), viewer_id)
    await sources.comments.delete(target.comment.id, clock.now(), by=viewer_id)
    post = None if target.post is None else await sources.read_your_writes.post(target.post.id, viewer_id)
    return DeleteCommentPayload(deleted_comment_id=given.comment_id, post=post)


def _deletable(target: CommentTarget | None, viewer_id: ObjectId) -> CommentTarget:
    """The comment, if the viewer may delete it: their own on any post, or one that is shown below their own post.

    Raises NotFound if the viewer may not see it, Refusal (NOT_ALLOWED) if they may see it but not delete it.
    """
    if target is not None:
        comment, post = target.comment, target.post
        if not comment.deleted and comment.author_id == viewer_id:
            return target
        if comment.is_shown and post is not None and can_delete_comment(comment, post, viewer_id):
            return target
    if target is None or not target.is_visible:
        raise NotFound("comment", field=["commentId"])
    message = "A comment is deleted by who wrote it or by whose post it is on."
    raise Refusal(UserErrorCode.NOT_ALLOWED, message, field=["commentId"])
