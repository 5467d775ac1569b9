"""Who may see what: the one place that decides it, for every way in."""

import msgspec
from bson import ObjectId

from domain.records import CommentRecord, FollowState, PostRecord, PostStatus, UserRecord, UserState


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """How the viewer and one other user stand to each other, seen from the viewer."""

    is_self: bool = False
    follow_state: FollowState = FollowState.NONE
    is_followed: bool = False
    has_blocked: bool = False
    is_blocked: bool = False
    has_muted: bool = False

    @property
    def is_following(self) -> bool:
        """Whether the viewer follows them, not only asked to."""
        return self.follow_state is FollowState.FOLLOWING


STRANGERS = Relation()
ONESELF = Relation(is_self=True)


def can_view_profile(owner: UserRecord, relation: Relation) -> bool:
    """Names, pictures and counts: everybody's, unless the account is gone or its owner has blocked the viewer.

    Someone who blocks still sees whom they blocked, or they could never undo it.
    """
    return owner.state is UserState.ACTIVE and not relation.is_blocked


def can_view_content(owner: UserRecord, relation: Relation) -> bool:
    """Posts and lists of a user: hidden by a block either way, and by a private account from all but its followers."""
    if not can_view_profile(owner, relation) or relation.has_blocked:
        return False
    return relation.is_self or not owner.is_private or relation.is_following


def can_view_post(post: PostRecord, author: UserRecord, relation: Relation) -> bool:
    """A post: as its author's content, and only by the author until it is ready."""
    if post.deleted or not can_view_content(author, relation):
        return False
    return post.status is PostStatus.READY or relation.is_self


def can_view_comment(comment: CommentRecord, author: UserRecord, relation: Relation) -> bool:
    """A comment below a post the viewer may see: unless it is gone, or a block stands between viewer and author.

    A private account's comment below somebody else's post is that post's, as everywhere. One that a screen or a
    moderator has hidden is its author's alone, who is not to notice.
    """
    if comment.deleted or (comment.hidden and not relation.is_self):
        return False
    return can_view_profile(author, relation) and not relation.has_blocked


def can_delete_comment(comment: CommentRecord, post: PostRecord, viewer_id: ObjectId) -> bool:
    """Its author may delete it, and so may the post's."""
    return viewer_id in (comment.author_id, post.author_id)
