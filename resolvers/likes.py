"""Likes of posts and comments: each mutation says what should be so, and answers what is so now."""

from datasources.mongo import clock
from resolvers.comments import visible_comment
from resolvers.posts import visible_post
from resolvers.root_fields import mutation
from schema.context import Info
from schema.inputs import CommentIdInput, PostIdInput
from schema.payloads import CommentPayload, PostPayload


@mutation("Ensures that the viewer likes the post.")
async def like_post(info: Info, given: PostIdInput) -> PostPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    post = await visible_post(info, given.post_id)
    await sources.post_likes.like(post.id, viewer_id, clock.now())
    return PostPayload(post=await sources.read_your_writes.post(post.id, viewer_id))


@mutation("Ensures that the viewer does not like the post.")
async def unlike_post(info: Info, given: PostIdInput) -> PostPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    post = await visible_post(info, given.post_id)
    await sources.post_likes.unlike(post.id, viewer_id, clock.now())
    return PostPayload(post=await sources.read_your_writes.post(post.id, viewer_id))


@mutation("Ensures that the viewer likes the comment.")
async def like_comment(info: Info, given: CommentIdInput) -> CommentPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    comment = await visible_comment(info, given.comment_id)
    await sources.comment_likes.like(comment.id, viewer_id, clock.now())
    return CommentPayload(comment=await sources.read_your_writes.comment(comment.id, viewer_id))


@mutation("Ensures that the viewer does not like the comment.")
async def unlike_comment(info: Info, given: CommentIdInput) -> CommentPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    comment = await visible_comment(info, given.comment_id)
    await sources.comment_likes.unlike(comment.id, viewer_id, clock.now())
    return CommentPayload(comment=await sources.read_your_writes.comment(comment.id, viewer_id))
