"""The table: for every field of the schema that leads to objects, which ones it should show to whom.

A field that is not here fails `test_schema`. Each rule is given the rules, who looks, and the object the field is of,
and says whom or what the field shows, in any order.
"""

from collections.abc import Callable, Iterable

from domain.ids import from_global_id, to_global_id
from domain.limits import PREVIEW_COMMENTS
from tests.integration.visibility.facts import Comment, Gid, Name
from tests.integration.visibility.rules import Rules, Viewer

# ruff: noqa: ARG005  every rule is given the same three things
Rule = Callable[[Rules, Viewer, Gid], Iterable[Gid]]


def _met(rules: Rules, viewer: Viewer, names: Iterable[Name]) -> list[Gid]:
    return [rules.facts.people[name] for name in names if rules.meets(viewer, name)]


def _seen(rules: Rules, viewer: Viewer, gids: Iterable[Gid | None]) -> list[Gid]:
    return [gid for gid in gids if gid is not None and rules.sees(viewer, gid)]


def _comments(rules: Rules, viewer: Viewer, comments: Iterable[Comment]) -> list[Gid]:
    return _seen(rules, viewer, (comment.gid for comment in comments))


def _tops(rules: Rules, post: Gid) -> list[Comment]:
    return [one for one in rules.facts.posts[post].comments if one.parent is None and not one.deleted]


def _followers(rules: Rules, viewer: Viewer, person: Gid) -> list[Gid]:
    owner = rules.facts.name_of(person)
    names = [one for one, followed in sorted(rules.facts.follows) if followed == owner]
    return _met(rules, viewer, names) if rules.reads(viewer, owner) else []


def _following(rules: Rules, viewer: Viewer, person: Gid) -> list[Gid]:
    owner = rules.facts.name_of(person)
    names = [followed for one, followed in sorted(rules.facts.follows) if one == owner]
    return _met(rules, viewer, names) if rules.reads(viewer, owner) else []


def _feed(rules: Rules, viewer: Viewer, _: Gid) -> list[Gid]:
    """Ready posts of oneself and of whom one follows and has not muted."""
    facts = rules.facts
    theirs = {followed for one, followed in facts.follows if one == viewer and (viewer, followed) not in facts.mutes}
    mine = [post for post in facts.posts.values() if post.status == "READY" and post.author in {viewer, *theirs}]
    return _seen(rules, viewer, (post.gid for post in mine))


def _actors(rules: Rules, viewer: Viewer, notice: Gid) -> list[Gid]:
    return _met(rules, viewer, rules.facts.notices[notice].actors)


def _mine(owners: str) -> Rule:
    def rule(rules: Rules, viewer: Viewer, _: Gid) -> list[Gid]:
        return [gid for gid, owner in getattr(rules.facts, owners).items() if owner == viewer]

    return rule


def _asked(rules: Rules, viewer: Viewer, gid: Gid) -> list[Gid]:
    """What was asked for by id or name, if it is there for the viewer."""
    return [gid] if rules.sees(viewer, gid) else []


def _notices(rules: Rules, viewer: Viewer, _: Gid) -> list[Gid]:
    return _seen(rules, viewer, rules.facts.notices)


def _post_of(rules: Rules, comment: Gid) -> Gid:
    return rules.facts.comments[comment].post.gid


def _image_of(rules: Rules, upload: Gid) -> list[Gid]:
    """An image has its upload's id."""
    image = to_global_id("Image", from_global_id(upload)[1])
    return [image] if rules.facts.images.get(image) else []


def _parent(rules: Rules, comment: Gid) -> list[Gid | None]:
    parent = rules.facts.comments[comment].parent
    return [None if parent is None else parent.gid]


def _avatar(rules: Rules, person: Gid) -> list[Gid]:
    return [gid for gid, name in rules.facts.avatars.items() if name == rules.facts.name_of(person)]


def _tagged(rules: Rules, viewer: Viewer, image: Gid) -> list[Gid]:
    """Those tagged in the post that the image belongs to; the upload itself has no tags."""
    shown = [post for post in rules.facts.posts.values() if post.image == image and rules.sees_post(viewer, post)]
    return _met(rules, viewer, [name for post in shown for name in post.tagged if rules.tags(post.author, name)])


_ACTORS = {f"{kind}Notification.actors": _actors for kind in ("Post", "Comment", "Follow")}

SHOWS: dict[str, Rule] = {
    "Query.node": _asked,
    "Query.nodes": _asked,
    "Query.user": _asked,
    "Query.post": _asked,
    "Query.viewer": _mine("accounts"),
    "Query.feed": _feed,
    "Query.notifications": _notices,
    "Viewer.user": lambda rules, viewer, _: [] if viewer is None else [rules.facts.people[viewer]],
    "Viewer.sessions": _mine("sessions"),
    "Viewer.followRequests": lambda rules, viewer, _: _met(
        rules, viewer, [one for one, asked in rules.facts.asks if asked == viewer]
    ),
    "Viewer.blockedUsers": lambda rules, viewer, _: [
        rules.facts.people[two] for one, two in rules.facts.blocks if one == viewer and two not in rules.facts.gone
    ],
    "Viewer.mutedUsers": lambda rules, viewer, _: [
        rules.facts.people[two] for one, two in rules.facts.mutes if one == viewer and rules.finds(viewer, two)
    ],
    "User.avatar": lambda rules, viewer, person: _avatar(rules, person),
    "User.posts": lambda rules, viewer, person: _seen(
        rules,
        viewer,
        [post.gid for post in rules.facts.posts.values() if post.author == rules.facts.name_of(person)],
    ),
    "User.followers": _followers,
    "User.following": _following,
    "Post.author": lambda rules, viewer, post: [rules.facts.people[rules.facts.posts[post].author]],
    "Post.images": lambda rules, viewer, post: _seen(rules, viewer, [rules.facts.posts[post].image]),
    "Post.mentions": lambda rules, viewer, post: _met(rules, viewer, rules.facts.posts[post].people),
    "Post.likes": lambda rules, viewer, post: _met(rules, viewer, rules.facts.posts[post].likers),
    "Post.comments": lambda rules, viewer, post: _comments(rules, viewer, _tops(rules, post)),
    "Post.previewComments": lambda rules, viewer, post: _comments(
        rules, viewer, _tops(rules, post)[-PREVIEW_COMMENTS:]
    ),
    "Comment.post": lambda rules, viewer, comment: [_post_of(rules, comment)],
    "Comment.author": lambda rules, viewer, comment: [rules.facts.people[rules.facts.comments[comment].author]],
    "Comment.mentions": lambda rules, viewer, comment: _met(rules, viewer, rules.facts.comments[comment].mentions),
    "Comment.parent": lambda rules, viewer, comment: _seen(rules, viewer, _parent(rules, comment)),
    "Comment.replies": lambda rules, viewer, comment: _comments(
        rules, viewer, [one for one in rules.facts.comments.values() if one.parent and one.parent.gid == comment]
    ),
    "Image.taggedUsers": _tagged,
    "TaggedUser.user": _tagged,
    "MediaUpload.image": lambda rules, viewer, upload: _image_of(rules, upload),
    **_ACTORS,
    "PostNotification.post": lambda rules, viewer, notice: _seen(rules, viewer, [rules.facts.notices[notice].post]),
    "PostNotification.aboutPost": lambda rules, viewer, notice: _seen(
        rules, viewer, [rules.facts.notices[notice].post]
    ),
    "PostNotification.comment": lambda rules, viewer, notice: _seen(
        rules, viewer, [rules.facts.notices[notice].comment]
    ),
    "CommentNotification.comment": lambda rules, viewer, notice: _seen(
        rules, viewer, [rules.facts.notices[notice].comment]
    ),
    "Subscription.notificationAdded": _notices,
    "NotificationEvent.notification": _notices,
    "Subscription.uploadUpdated": _asked,
}


COUNTS: dict[str, str] = {
    "FeedEvent.newPostCount": "of what the feed shows of others: tested in test_live",
    "Post.likeCount": "of all who like it: one number for everybody who may see the post",
    "Post.commentCount": "of all comments, as above",
    "Comment.likeCount": "as above",
    "Comment.replyCount": "as above",
    "User.postCount": "part of the profile, as the next two",
    "User.followerCount": "of all who follow",
    "User.followingCount": "of all who are followed",
    "PostNotification.actorCount": "of all who did it",
    "CommentNotification.actorCount": "of all who did it",
    "FollowNotification.actorCount": "of the one who did it",
    "Viewer.unreadNotificationCount": "of what the list shows: tested in test_live",
}
