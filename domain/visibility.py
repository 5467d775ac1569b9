"""Who may see what: the one place that decides it, for every query, event and worker."""

from collections.abc import Container
from enum import StrEnum

import msgspec
from bson import ObjectId

from domain.records.comments import CommentRecord
from domain.records.follows import FollowState
from domain.records.notifications import NotificationRecord
from domain.records.posts import PostRecord, PostStatus
from domain.records.saves import CollectionRecord
from domain.records.uploads import UploadRecord
from domain.records.users import AccountStanding, UserRecord, UserState


class Area(StrEnum):
    """Where files are: anybody can fetch public ones; private ones need a signed URL; nobody can fetch originals."""

    PUBLIC = "public"
    PRIVATE = "private"
    ORIGINALS = "originals"


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """The relation between the viewer and one other user, from the viewer's side."""

    is_self: bool = False
    follow_state: FollowState = FollowState.NONE
    is_followed: bool = False
    has_blocked: bool = False
    is_blocked: bool = False
    has_muted: bool = False

    @property
    def reaches_feed(self) -> bool:
        """Whether their posts are in the viewer's home feed because of who they are, unless they are muted."""
        return self.is_self or self.is_following

    @property
    def is_following(self) -> bool:
        """Whether the viewer follows them, not only asked to."""
        return self.follow_state is FollowState.FOLLOWING

    @property
    def is_unrelated(self) -> bool:
        """Whether the viewer has nothing to do with them yet, so that they can be suggested."""
        is_kept_out = self.has_blocked or self.is_blocked or self.has_muted
        return not (self.is_self or is_kept_out) and self.follow_state is FollowState.NONE


STRANGERS = Relation()
ONESELF = Relation(is_self=True)


def as_restricted(relation: Relation) -> Relation:
    """The relation of a suspended viewer, who counts as following nobody: private accounts are closed to them.

    The owner of a private account does not see a suspended follower, and so could not remove them.
    """
    return msgspec.structs.replace(relation, follow_state=FollowState.NONE)


def can_view_profile(owner: UserRecord, relation: Relation) -> bool:
    """Names, pictures and counts: visible unless the account is gone or away, or its owner has blocked the viewer.

    Who has blocked somebody still sees them, to be able to undo it. A suspended account is visible to its owner alone.
    """
    is_there = owner.state is UserState.ACTIVE or (owner.state is UserState.SUSPENDED and relation.is_self)
    return is_there and not relation.is_blocked


def as_returned(owner: UserRecord) -> UserRecord:
    """The account as it is once its owner is back, for what is stored until then: nothing is lost while they are away.

    What is shown is decided again by the account as it is.
    """
    if owner.state is not UserState.DEACTIVATED:
        return owner
    return msgspec.structs.replace(owner, state=UserState.ACTIVE)


def can_view_blocked(owner: UserRecord, relation: Relation) -> bool:
    """An account in the viewer's list of blocked users, even if it has blocked the viewer too.

    Without this rule, two users who block each other could not unblock. In all other places they do not see each other.
    """
    return owner.state is UserState.ACTIVE and relation.has_blocked


def can_meet(owner: UserRecord, relation: Relation) -> bool:
    """People among others, as in likes, followers, mentions, comments: a block either way keeps them apart."""
    return can_view_profile(owner, relation) and not relation.has_blocked


def can_suggest(owner: UserRecord, relation: Relation) -> bool:
    """Somebody of good standing to follow: neither followed nor asked, and not muted; also a private account."""
    return owner.standing is AccountStanding.GOOD and can_meet(owner, relation) and relation.is_unrelated


def can_view_content(owner: UserRecord, relation: Relation) -> bool:
    """Posts and lists of a user: hidden by a block either way, and for a private account from all but its followers."""
    is_let_in = relation.is_self or not owner.is_private or relation.is_following
    return is_let_in and can_meet(owner, relation)


def can_view_post(post: PostRecord, author: UserRecord, relation: Relation) -> bool:
    """A post: as its author's content, and only by the author while it is not READY; by nobody once it is removed."""
    if post.deleted or post.status is PostStatus.REMOVED or not can_view_content(author, relation):
        return False
    return post.status is PostStatus.READY or relation.is_self


def can_show_tag(tagged: UserRecord, relation: Relation, *, is_apart: bool) -> bool:
    """A person tagged in an image; with a block between the author and them (`is_apart`), nobody sees the tag."""
    return can_meet(tagged, relation) and not is_apart


def can_view_comment(comment: CommentRecord, author: UserRecord, relation: Relation) -> bool:
    """A comment below a post, or a reply to a comment, that the viewer may see: unless it or its author is hidden.

    A private account's comment below somebody else's post is as visible as that post. One that a screen or a moderator
    has hidden is visible to its author alone; one that a moderator has removed to nobody.
    """
    if comment.deleted or comment.removed or (comment.hidden and not relation.is_self):
        return False
    return can_meet(author, relation)


def can_view_collection(collection: CollectionRecord, owner: UserRecord, relation: Relation) -> bool:
    """A collection: by its owner and, if it is public, as its owner's posts."""
    return not collection.deleted and (relation.is_self or collection.is_public) and can_view_content(owner, relation)


def can_view_notification(
    notification: NotificationRecord, viewer_id: ObjectId | None, shown: Container[ObjectId]
) -> bool:
    """Visible to its recipient if `shown` holds the post and comment it is about, and at least one of the actors.

    `shown` are the ids of posts and comments that the viewer may see, and of people they may meet. Where there are more
    actors than are named, one who is not named is enough.
    """
    about = [each for each in (notification.post_id, notification.comment_id) if each is not None]
    if notification.withdrawn or notification.recipient_id != viewer_id or not all(each in shown for each in about):
        return False
    named = notification.actor_ids
    return not named or notification.actor_count > len(named) or any(each in shown for each in named)


def can_delete_comment(comment: CommentRecord, post: PostRecord, viewer_id: ObjectId) -> bool:
    """Its author may delete it, and so may the post's."""
    return viewer_id in (comment.author_id, post.author_id)


def area_of(upload: UploadRecord, owner: UserRecord, post: PostRecord | None) -> Area:
    """The area of an image's files: public exactly if a stranger may see it, in a post or as an avatar."""
    is_avatar = owner.avatar is not None and owner.avatar.id == upload.id
    shown_as_avatar = is_avatar and can_view_profile(owner, STRANGERS)
    shown_in_post = post is not None and can_view_post(post, owner, STRANGERS)
    return Area.PUBLIC if shown_as_avatar or shown_in_post else Area.PRIVATE
