"""Comments and replies."""

from datetime import datetime

import strawberry

from domain.limits import COMMENT_MAX, HASHTAGS_MAX, MENTIONS_MAX
from domain.records.comments import CommentRecord
from domain.visibility import can_delete_comment
from schema.connection import CommentConnection, connected
from schema.context import Info
from schema.fields import computed, loaded, loaded_list, plain, viewer_state
from schema.lazy_types import LazyComment
from schema.node import Node, presents
from schema.post import Post, is_liked
from schema.text_fields import text_field
from schema.user import User


@strawberry.type(description="Words below a post.")
class Comment(Node):
    is_type_of = presents(CommentRecord, lasts=True)

    post: Post = loaded("post_by_id", key="post_id", description="The post it belongs to.")
    author: User = loaded("user_by_id", key="author_id", description="Who wrote it.")
    text: str = text_field("Its words.", max_length=COMMENT_MAX)
    hashtags: list[str] = plain("Hashtags in it, without the #, lower case.", max_items=HASHTAGS_MAX)
    mentions: list[User] = loaded_list(
        "met_user_by_id", key="mention_ids", description="Users mentioned in it.", max_items=MENTIONS_MAX
    )
    created_at: datetime = plain("When it was written.")
    parent: LazyComment | None = loaded(
        "visible_comment_by_id", key="parent_id", description="The comment it replies to."
    )
    reply_count: int = plain("How many replies it has.")
    like_count: int = plain("How many likes it has.")
    viewer_has_liked: bool = viewer_state(
        bool, "viewer_like_by_comment", is_liked, description="Whether the viewer likes it."
    )

    replies: CommentConnection | None = connected(
        CommentConnection,
        lambda context, comment, page: context.sources.comments.replies(comment.id, page),
        loader="visible_comment_by_id",
        description="Replies to it, oldest first; replies have none.",
    )

    @computed(bool, "Whether the viewer may delete it.")
    async def viewer_can_delete(root: strawberry.Parent[CommentRecord], info: Info) -> bool:
        viewer_id = info.context.viewer_id
        post = await info.context.loaders.post_by_id.load(root.post_id)
        return viewer_id is not None and post is not None and can_delete_comment(root, post, viewer_id)
