"""The other table: for every id that a client gives to an act, what kind of thing it names and what to send with it.

An input or a mutation that is not here fails `test_acts`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.integration.visibility.cast import Cast
from tests.integration.visibility.facts import Gid

Send = Callable[[Cast, Gid], dict[str, Any]]


class Act(NamedTuple):
    """A mutation that names a thing: its field, the kind of thing, and its input."""

    mutation: str
    kind: str  # as the type of its global ids
    send: Send


def _only(field: str) -> Send:
    return lambda _, gid: {field: gid}


def _of(mutation: str, kind: str, field: str, **more: Any) -> tuple[str, Act]:
    name = f"{mutation[0].upper()}{mutation[1:]}Input.{field}"
    return name, Act(mutation, kind, lambda _, gid: {field: gid, **more})


def _image(cast: Cast, upload: Gid, *tagged: Gid) -> dict[str, Any]:
    people = [{"userId": gid, "x": 0.5, "y": 0.5} for gid in tagged]
    return {"images": [{"uploadId": upload, "taggedUsers": people}]}


def _some_post(cast: Cast, comment: Gid) -> Gid:
    """The post a comment is on, or for one that never was, one that everybody sees."""
    found = cast.facts.comments.get(comment)
    return found.post.gid if found else next(gid for gid, one in cast.facts.posts.items() if one.author == "host")


USER_VERBS = (
    "followUser",
    "unfollowUser",
    "acceptFollowRequest",
    "declineFollowRequest",
    "removeFollower",
    "blockUser",
    "unblockUser",
    "muteUser",
    "unmuteUser",
)
ACTS: dict[str, Act] = dict(
    [
        *(_of(verb, "User", "userId") for verb in USER_VERBS),
        *(_of(verb, "Post", "postId") for verb in ("likePost", "unlikePost", "removeTag", "deletePost")),
        *(_of(verb, "Comment", "commentId") for verb in ("likeComment", "unlikeComment", "deleteComment")),
        _of("updatePost", "Post", "postId", caption="new"),
        _of("addComment", "Post", "postId", text="hello"),
        _of("updateProfile", "MediaUpload", "avatarUploadId"),
        _of("cancelUpload", "MediaUpload", "uploadId"),
        _of("revokeSession", "Session", "sessionId"),
        (
            "AddCommentInput.parentId",
            Act(
                "addComment",
                "Comment",
                lambda cast, gid: {
                    "postId": _some_post(cast, gid),
                    "parentId": gid,
                    "text": "hello",
                },
            ),
        ),
        ("PostImageInput.uploadId", Act("createPost", "MediaUpload", _image)),
        ("TaggedUserInput.userId", Act("createPost", "User", lambda cast, gid: _image(cast, gid, gid))),
        (
            "MarkNotificationsReadInput.notificationIds",
            Act(
                "markNotificationsRead",
                "Notification",
                lambda _, gid: {"notificationIds": [gid]},
            ),
        ),
    ]
)
KEYS = {f"{one}Input.idempotencyKey" for one in ("Register", "CreateUpload", "UploadImage", "CreatePost", "AddComment")}
READ = {"Query.node(id)", "Query.nodes(ids)", "Query.post(id)", "Subscription.uploadUpdated(id)"}  # in the other tests

# Mutations that answer with objects but name none: they show the viewer's own things, which they have just made.
OWN = {"register", "login", "refreshSession", "createUpload", "uploadImage", "markNotificationsSeen"}
