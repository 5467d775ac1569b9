"""Comments: writing and deleting them."""

import strawberry

from datasources.jobs.idempotency import Idempotency
from datasources.mongo import clock
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.limits import COMMENT_MAX
from domain.paging import encode_cursor
from domain.records.comments import CommentRecord
from domain.text import checked_words
from domain.visibility import can_delete_comment
from resolvers.posts import mentioned_ids, visible_post
from resolvers.root_fields import mutation
from schema.connection import EdgeData
from schema.context import Info
from schema.inputs import AddCommentInput, CommentIdInput
from schema.payloads import AddCommentPayload, DeleteCommentPayload


async def visible_comment(info: Info, global_id: str, field: str = "commentId") -> CommentRecord:
    """The comment a mutation is about. Raises NotFound where the viewer may not see it."""
    comment_id = expect_id(global_id, "Comment")
    comment = None if comment_id is None else await info.context.loaders.visible_comment_by_id.load(comment_id)
    if comment is None:
        raise NotFound("comment", field=[field])
    return comment


@mutation("Comments on a post or replies to a comment.")
async def add_comment(info: Info, given: AddCommentInput) -> AddCommentPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    idempotency = Idempotency.of(given.idempotency_key, "addComment", strawberry.asdict(given))
    earlier = await sources.comments.added_earlier(viewer_id, idempotency)
    comment = await _still_visible(info, earlier) if earlier else await _add(info, given, idempotency)
    edge = EdgeData(encode_cursor(comment.id), comment)
    return AddCommentPayload(comment_edge=edge, post=await sources.read_your_writes.post(comment.post_id, viewer_id))


async def _still_visible(info: Info, comment: CommentRecord) -> CommentRecord:
    """The comment that a repeated request made. Raises NotFound if its author may no longer see it."""
    if await info.context.loaders.visible_comment_by_id.load(comment.id) is None:
        raise NotFound("comment", field=["idempotencyKey"])
    return comment


async def _add(info: Info, given: AddCommentInput, idempotency: Idempotency | None) -> CommentRecord:
    post = await visible_post(info, given.post_id)
    parent = None if given.parent_id is None else await visible_comment(info, given.parent_id, "parentId")
    if parent is not None and (parent.post_id != post.id or parent.parent_id is not None):
        message = "A reply answers a comment of the same post that is no reply itself."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["parentId"])
    if not post.comments_enabled:
        raise Refusal(UserErrorCode.COMMENTS_OFF, "Comments are off for this post.", field=["postId"])
    text = checked_words(given.text, "text", min_length=1, max_length=COMMENT_MAX)
    return await info.context.sources.comments.add(
        post.id,
        info.context.require_viewer(),
        text,
        clock.now(),
        parent_id=None if parent is None else parent.id,
        mention_ids=await mentioned_ids(info, text),
        idempotency=idempotency,
    )


@mutation(
    "Deletes a comment of the viewer's own, or any comment on the viewer's own post. A block between the viewer and "
    "the other author does not prevent it.",
)
async def delete_comment(info: Info, given: CommentIdInput) -> DeleteCommentPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    comment = await _deletable_comment(info, given.comment_id)
    await sources.comments.delete(comment.id, clock.now(), by=viewer_id)
    shown = await info.context.loaders.visible_post_by_id.load(comment.post_id)
    post = None if shown is None else await sources.read_your_writes.post(shown.id, viewer_id)
    return DeleteCommentPayload(deleted_comment_id=given.comment_id, post=post)


async def _deletable_comment(info: Info, global_id: str) -> CommentRecord:
    """The comment, if the viewer may delete it: their own on any post, or one that is shown below their own post.

    Raises NotFound if the viewer may not see it, Refusal (NOT_ALLOWED) if they may see it but not delete it.
    """
    loaders, viewer_id = info.context.loaders, info.context.require_viewer()
    comment_id = expect_id(global_id, "Comment")
    comment = None if comment_id is None else await loaders.comment_by_id.load(comment_id)
    if comment is not None and not comment.deleted and comment.author_id == viewer_id:
        return comment
    if comment is not None and comment.is_shown:
        post = await loaders.visible_post_by_id.load(comment.post_id)
        if post is not None and can_delete_comment(comment, post, viewer_id):
            return comment
    await visible_comment(info, global_id)
    message = "A comment is deleted by who wrote it or by whose post it is on."
    raise Refusal(UserErrorCode.NOT_ALLOWED, message, field=["commentId"])
