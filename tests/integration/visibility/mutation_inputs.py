"""The table of inputs that take an id: the kind of object that each names, and an example to send.

An input or mutation that is missing here fails `test_mutations`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.integration.visibility.cast import Cast
from tests.integration.visibility.scene import Gid
from tests.support.client import USER_VERBS

Send = Callable[[Cast, Gid], dict[str, Any]]


class IdInput(NamedTuple):
    """A mutation that takes an id, the kind of object that it names, and a function that makes its input."""

    mutation: str
    kind: str  # as the type of its global ids
    send: Send


def _only(field: str) -> Send:
    return lambda _, gid: {field: gid}


def _of(mutation: str, kind: str, field: str, **more: Any) -> tuple[str, IdInput]:
    name = f"{mutation[0].upper()}{mutation[1:]}Input.{field}"
    return name, IdInput(mutation, kind, lambda _, gid: {field: gid, **more})


def _image(cast: Cast, upload: Gid, *tagged: Gid) -> dict[str, Any]:
    people = [{"userId": gid, "x": 0.5, "y": 0.5} for gid in tagged]
    return {"images": [{"uploadId": upload, "taggedUsers": people}]}


def _post_of(cast: Cast, comment: Gid) -> Gid:
    """The post of a comment. For a comment that never existed, a post that everybody sees."""
    known = cast.scene.comments.get(comment)
    return known.post.gid if known else _open_post(cast)


def _open_post(cast: Cast) -> Gid:
    """A post that everybody sees."""
    return next(gid for gid, post in cast.scene.posts.items() if post.author == "host")


INPUTS: dict[str, IdInput] = dict(
    [
        *(_of(verb, "User", "userId") for verb in USER_VERBS),
        *(
            _of(verb, "Post", "postId")
            for verb in ("likePost", "unlikePost", "savePost", "unsavePost", "removeTag", "approveTag", "deletePost")
        ),
        *(_of(verb, "Comment", "commentId") for verb in ("likeComment", "unlikeComment", "deleteComment")),
        *(_of(verb, "Collection", "collectionId") for verb in ("updateCollection", "deleteCollection")),
        (
            "SavePostInput.collectionIds",
            IdInput("savePost", "Collection", lambda cast, gid: {"postId": _open_post(cast), "collectionIds": [gid]}),
        ),
        _of("reportContent", "Post", "targetId", reason="SPAM"),
        _of("requestReport", "Post", "targetId", reason="SPAM", email="somebody@example.com"),
        _of("moderate", "Post", "targetId", action="DISMISS"),
        _of("claimCase", "ModerationCase", "caseId"),
        _of("appealDecision", "Decision", "decisionId", text="no"),
        (
            "ModerateInput.caseId",
            IdInput("moderate", "ModerationCase", lambda _, gid: {"caseId": gid, "action": "DISMISS"}),
        ),
        _of("updatePost", "Post", "postId", caption="new"),
        _of("addComment", "Post", "postId", text="hello"),
        _of("updateProfile", "MediaUpload", "avatarUploadId"),
        _of("cancelUpload", "MediaUpload", "uploadId"),
        _of("revokeSession", "Session", "sessionId"),
        _of("revokeAccessToken", "AccessToken", "accessTokenId"),
        _of("removePasskey", "Passkey", "passkeyId"),
        _of("unlinkIdentity", "LinkedIdentity", "linkedIdentityId"),
        (
            "AddCommentInput.parentId",
            IdInput(
                "addComment",
                "Comment",
                lambda cast, gid: {
                    "postId": _post_of(cast, gid),
                    "parentId": gid,
                    "text": "hello",
                },
            ),
        ),
        ("PostImageInput.uploadId", IdInput("createPost", "MediaUpload", _image)),
        ("TaggedUserInput.userId", IdInput("createPost", "User", lambda cast, gid: _image(cast, gid, gid))),
        (
            "MarkNotificationsReadInput.notificationIds",
            IdInput(
                "markNotificationsRead",
                "Notification",
                lambda _, gid: {"notificationIds": [gid]},
            ),
        ),
    ]
)
IDEMPOTENCY_KEYS = {
    f"{name}Input.idempotencyKey"
    for name in ("Register", "CreateUpload", "UploadImage", "CreatePost", "AddComment", "CreateCollection", "Moderate")
}
READ_INPUTS = {
    "Query.node(id)",
    "Query.nodes(ids)",
    "Query.post(id)",
    "Subscription.uploadUpdated(id)",
    "Moderation.log(subjectId)",
}  # tested in test_reads, in test_subscriptions and for moderators in tests/e2e/test_decisions.py

# They name posts of an own collection, also hidden ones: tested in tests/integration/test_collections.py.
OF_OWN_COLLECTIONS = {
    "UpdateCollectionInput.coverPostId",
    "CollectionPostInput.postId",
    "CollectionPostInput.afterPostId",
}

# Mutations that answer with objects but take no id: they show what the viewer has just made.
WITHOUT_IDS = {
    "register",
    "acceptTerms",
    "changeUsername",
    "requestExport",
    "login",
    "refreshSession",
    "changePassword",
    "verifyEmail",
    "requestEmailChange",
    "revokeOtherSessions",
    "createAccessToken",
    "confirmSecondFactor",
    "renewRecoveryCodes",
    "disableSecondFactor",
    "completeLogin",
    "confirmPasskey",
    "loginWithPasskey",
    "loginWithIdentity",
    "linkIdentity",
    "createCollection",
    "createUpload",
    "uploadImage",
    "markNotificationsSeen",
    "updatePreferences",
    "followHashtag",
    "unfollowHashtag",
}
