"""Likes of posts and comments: each mutation says what should be so, and answers what is so now."""

from bson import ObjectId

from datasources.mongo import clock
from datasources.posts.likes import LikeStore
from domain.records.likes import LikeRecord
from resolvers.comments import visible_comment
from resolvers.posts import visible_post
from resolvers.root_fields import mutation
from schema.context import Info
from schema.payloads import CommentPayload, PostPayload
from schema.post_inputs import CommentIdInput, PostIdInput


@mutation("Ensures that the viewer likes the post.")
async def like_post(info: Info, given: PostIdInput) -> PostPayload:
    return await _set_post_like(info, given, liked=True)


@mutation("Ensures that the viewer does not like the post.")
async def unlike_post(info: Info, given: PostIdInput) -> PostPayload:
    return await _set_post_like(info, given, liked=False)


@mutation("Ensures that the viewer likes the comment.")
async def like_comment(info: Info, given: CommentIdInput) -> CommentPayload:
    return await _set_comment_like(info, given, liked=True)


@mutation("Ensures that the viewer does not like the comment.")
async def unlike_comment(info: Info, given: CommentIdInput) -> CommentPayload:
    return await _set_comment_like(info, given, liked=False)


async def _set_post_like(info: Info, given: PostIdInput, *, liked: bool) -> PostPayload:
    target = await visible_post(info, given.post_id)
    await _set_like(info, info.context.sources.post_likes, "viewer_like_by_post", target.post.id, liked=liked)
    return PostPayload(post=target.with_like(liked=liked))


async def _set_comment_like(info: Info, given: CommentIdInput, *, liked: bool) -> CommentPayload:
    target = await visible_comment(info, given.comment_id)
    await _set_like(info, info.context.sources.comment_likes, "viewer_like_by_comment", target.comment.id, liked=liked)
    return CommentPayload(comment=target.with_like(liked=liked))


async def _set_like(info: Info, likes: LikeStore, loader: str, target_id: ObjectId, *, liked: bool) -> None:
    """Writes the viewer's like, or its absence, and lets the answer find it at this loader."""
    viewer_id = info.context.require_viewer()
    await (likes.like if liked else likes.unlike)(target_id, viewer_id, clock.now())
    info.context.note_written(loader, target_id, LikeRecord(target_id=target_id, user_id=viewer_id, liked=liked))
