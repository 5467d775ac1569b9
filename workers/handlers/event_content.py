"""The words of posts and comments for events about them, as far as strangers may see them now."""

from collections.abc import Mapping, Sequence

import msgspec
from bson import ObjectId

from datasources.sources import Sources
from domain.events import Event, EventType, comment_content, post_content
from domain.records.comments import CommentRecord
from domain.records.posts import PostRecord
from domain.records.users import UserRecord


async def with_content(sources: Sources, events: Sequence[Event]) -> list[Event]:
    """The events, those of published posts and added comments with their words if strangers may see them now."""
    if not any(event.type in _WITH_CONTENT for event in events):
        return list(events)
    ids = {kind: [event.fact_id for event in events if event.type is kind] for kind in EventType}
    posts = [post for post in await sources.posts.by_ids(ids[EventType.POST_PUBLISHED]) if post]
    comments = [each for each in await sources.comments.by_ids(ids[EventType.COMMENT_ADDED]) if each]
    contents = {**await contents_of_posts(sources, posts), **await contents_of_comments(sources, comments)}
    return [
        msgspec.structs.replace(event, data={**event.data, "content": contents[event.fact_id]})
        if event.type in _WITH_CONTENT and event.fact_id in contents
        else event
        for event in events
    ]


async def contents_of_posts(sources: Sources, posts: Sequence[PostRecord]) -> Mapping[ObjectId, dict[str, object]]:
    """The words of those of these posts that strangers may see."""
    authors = await _accounts(sources, [post.author_id for post in posts])
    contents = {post.id: post_content(post, authors.get(post.author_id)) for post in posts}
    return {post_id: content for post_id, content in contents.items() if content is not None}


async def contents_of_comments(
    sources: Sources, comments: Sequence[CommentRecord]
) -> Mapping[ObjectId, dict[str, object]]:
    """The words of those of these comments that strangers may see, below posts and comments that they may see."""
    parent_ids = dict.fromkeys(each.parent_id for each in comments if each.parent_id is not None)
    parents = [parent for parent in await sources.comments.by_ids(list(parent_ids)) if parent]
    both = [*comments, *parents]
    posts = [post for post in await sources.posts.by_ids([each.post_id for each in both]) if post]
    public = await contents_of_posts(sources, posts)
    authors = await _accounts(sources, [comment.author_id for comment in both])
    contents = {
        comment.id: content
        for comment in both
        if comment.post_id in public
        and (content := comment_content(comment, authors.get(comment.author_id))) is not None
    }
    return {
        comment.id: contents[comment.id]
        for comment in comments
        if comment.id in contents and (comment.parent_id is None or comment.parent_id in contents)
    }


async def _accounts(sources: Sources, ids: Sequence[ObjectId]) -> dict[ObjectId, UserRecord]:
    return {user.id: user for user in await sources.users.by_ids(list(dict.fromkeys(ids))) if user is not None}


_WITH_CONTENT = {EventType.POST_PUBLISHED, EventType.COMMENT_ADDED}
