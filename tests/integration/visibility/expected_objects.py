"""The table of fields that show objects: which ids each must show.

A field that is missing here fails `test_reads`. Each entry is a function of the rules, the viewer and the id of the
object that has the field. It returns the ids that the field must show, in any order.
"""

from collections.abc import Callable, Iterable

from domain.ids import from_global_id, to_global_id
from domain.limits import PREVIEW_COMMENTS
from tests.integration.visibility.rules import Rules, Viewer
from tests.integration.visibility.scene import Comment, Entry, Gid, Name

# ruff: noqa: ARG005  every entry takes the same three arguments
Expected = Callable[[Rules, Viewer, Gid], Iterable[Gid]]


def _can_meet(rules: Rules, viewer: Viewer, names: Iterable[Name]) -> list[Gid]:
    return [rules.scene.people[name] for name in names if rules.can_meet(viewer, name)]


def _visible(rules: Rules, viewer: Viewer, gids: Iterable[Gid | None]) -> list[Gid]:
    return [gid for gid in gids if gid is not None and rules.sees(viewer, gid)]


def _comments(rules: Rules, viewer: Viewer, comments: Iterable[Comment]) -> list[Gid]:
    return _visible(rules, viewer, (comment.gid for comment in comments))


def _top_comments(rules: Rules, post: Gid) -> list[Comment]:
    return [comment for comment in rules.scene.posts[post].comments if comment.parent is None and not comment.deleted]


def _followers(rules: Rules, viewer: Viewer, person: Gid) -> list[Gid]:
    owner = rules.scene.name_of(person)
    names = [follower for follower, followed in sorted(rules.scene.follows) if followed == owner]
    return _can_meet(rules, viewer, names) if rules.can_read(viewer, owner) else []


def _following(rules: Rules, viewer: Viewer, person: Gid) -> list[Gid]:
    owner = rules.scene.name_of(person)
    names = [followed for follower, followed in sorted(rules.scene.follows) if follower == owner]
    return _can_meet(rules, viewer, names) if rules.can_read(viewer, owner) else []


def _mutual_followers(rules: Rules, viewer: Viewer, person: Gid) -> list[Gid]:
    followed = {gid for name, gid in rules.scene.people.items() if rules.follows(viewer, name)}
    return [gid for gid in _followers(rules, viewer, person) if gid in followed]


def _suggested(rules: Rules, viewer: Viewer, _: Gid) -> list[Gid]:
    """Everybody here, as there are fewer than suggestions: but for those whom the viewer knows, or wants to know."""
    scene = rules.scene
    pairs = scene.follows | scene.requests | scene.mutes
    others = {person for person in scene.people if person != viewer and (viewer, person) not in pairs}
    return [] if viewer in scene.suspended else _can_meet(rules, viewer, others)


def _feed(rules: Rules, viewer: Viewer, _: Gid) -> list[Gid]:
    """Ready posts of the viewer and of accounts that they follow and have not muted, and of hashtags they follow."""
    scene, by_author = rules.scene, _by_author(rules, viewer)
    posts = [post for post in scene.posts.values() if post.status == "READY" and post.author in by_author]
    return [*_visible(rules, viewer, (post.gid for post in posts)), *_by_hashtag(rules, viewer)]


def _by_author(rules: Rules, viewer: Viewer) -> set[Viewer]:
    scene = rules.scene
    followees = {person for person in scene.people if rules.follows(viewer, person)}
    return {viewer, *(person for person in followees if (viewer, person) not in scene.mutes)}


def _by_hashtag(rules: Rules, viewer: Viewer) -> dict[Gid, Gid]:
    """The posts that are in the feed because of a followed hashtag, with that hashtag."""
    listed = {
        post.gid: next((gid for gid in post.hashtags if (viewer, gid) in rules.scene.followed_hashtags), None)
        for post in rules.scene.posts.values()
        if rules.is_listed(viewer, post) and post.author not in _by_author(rules, viewer)
    }
    return {post: hashtag for post, hashtag in listed.items() if hashtag is not None}


def _place_of(rules: Rules, gid: Gid) -> list[Gid]:
    place = rules.scene.posts[gid].place
    return [] if place is None else [place]


def _actors(rules: Rules, viewer: Viewer, notification: Gid) -> list[Gid]:
    return _can_meet(rules, viewer, rules.scene.notifications[notification].actors)


def _mine(owners: str) -> Expected:
    def rule(rules: Rules, viewer: Viewer, _: Gid) -> list[Gid]:
        return [gid for gid, owner in getattr(rules.scene, owners).items() if owner == viewer]

    return rule


def _asked(rules: Rules, viewer: Viewer, gid: Gid) -> list[Gid]:
    """The object that was asked for by id or name, if the viewer sees it."""
    return [gid] if rules.sees(viewer, gid) else []


def _notices(rules: Rules, viewer: Viewer, _: Gid) -> list[Gid]:
    return _visible(rules, viewer, rules.scene.notifications)


def _post_of(rules: Rules, comment: Gid) -> Gid:
    return rules.scene.comments[comment].post.gid


def _image_of(rules: Rules, upload: Gid) -> list[Gid]:
    """The image of an upload, which has the same id."""
    image = to_global_id("Image", from_global_id(upload)[1])
    return [image] if rules.scene.images.get(image) else []


def _parent(rules: Rules, comment: Gid) -> list[Gid | None]:
    parent = rules.scene.comments[comment].parent
    return [None if parent is None else parent.gid]


def _avatar(rules: Rules, person: Gid) -> list[Gid]:
    return [gid for gid, name in rules.scene.avatars.items() if name == rules.scene.name_of(person)]


def _tagged(rules: Rules, viewer: Viewer, image: Gid) -> list[Gid]:
    """The users tagged in the post of the image."""
    shown = [post for post in rules.scene.posts.values() if post.image == image and rules.sees_post(viewer, post)]
    return _can_meet(
        rules, viewer, [name for post in shown for name in post.tagged if rules.shows_tag(viewer, post, name)]
    )


def _collections(rules: Rules, viewer: Viewer, owner: Viewer, *, only_public: bool) -> list[Gid]:
    return [
        gid
        for gid, collection in rules.scene.collections.items()
        if collection.owner == owner
        and (collection.is_public or not only_public)
        and rules.sees_collection(viewer, collection)
    ]


def _by_key(rules: Rules, viewer: Viewer, gid: Gid) -> list[Gid]:
    return [gid] if rules.can_meet(viewer, rules.scene.collections[gid].owner) else []


def _cover(rules: Rules, viewer: Viewer, gid: Gid) -> list[Gid]:
    cover = rules.scene.collections[gid].cover
    return [cover.image] if cover.image is not None and rules.sees_post(viewer, cover) else []


def _tagged_posts(rules: Rules, viewer: Viewer, gid: Gid) -> list[Gid]:
    """Posts that tag somebody, as rules 3, 4 and 8 say."""
    person = rules.scene.name_of(gid)
    posts = [
        post for post in rules.scene.posts.values() if person in post.tagged and rules.shows_tag(viewer, post, person)
    ]
    return _visible(rules, viewer, [post.gid for post in posts]) if rules.can_read(viewer, person) else []


def _existing(rules: Rules, names: Iterable[Name | None]) -> list[Gid]:
    """The accounts of these people that moderators see, whatever their standing."""
    people = [rules.scene.people[name] for name in names if name is not None]
    return [person for person in people if rules.exists(person)]


def _queue(rules: Rules, viewer: Viewer, _: Gid) -> list[Gid]:
    return [gid for gid, case in rules.scene.cases.items() if case.is_open and rules.moderates(viewer)]


def _entries(rules: Rules, viewer: Viewer, source: Gid) -> list[Entry]:
    """The entries of the log or, of a case, the one that is appealed against."""
    appealed = rules.scene.cases[source].appealed if source else None
    entries = rules.scene.log if not source else [entry for entry in [appealed] if entry]
    return entries if rules.moderates(viewer) else []


def _subjects(rules: Rules, viewer: Viewer, source: Gid) -> list[Gid]:
    return _existing(rules, [entry.subject for entry in _entries(rules, viewer, source)])


def _moderators(rules: Rules, viewer: Viewer, source: Gid) -> list[Gid]:
    return _existing(rules, [entry.moderator for entry in _entries(rules, viewer, source)])


def _log(rules: Rules, viewer: Viewer, source: Gid) -> list[Gid]:
    return _subjects(rules, viewer, source) + _moderators(rules, viewer, source)


def _reporters(rules: Rules, viewer: Viewer, case: Gid) -> list[Gid]:
    """None of those who reported the viewer."""
    about = rules.scene.cases[case]
    return [] if about.subject == viewer else _existing(rules, about.reporters)


def _found(rules: Rules, viewer: Viewer, gid: Gid) -> list[Gid]:
    """What is found by its own name: people whom the viewer may meet; hashtags and places, which are open.

    And without a name the posts whose captions name hashtags: those listed for everybody, and the viewer's own.
    """
    if not gid:
        named = [post for post in rules.scene.posts.values() if post.hashtags]
        own = [post for post in named if post.author == viewer and rules.sees_post(viewer, post)]
        return list({post.gid for post in (*own, *(post for post in named if rules.is_listed(viewer, post)))})
    is_open = gid in rules.scene.hashtags or gid in rules.scene.places
    return [gid] if is_open else _can_meet(rules, viewer, [rules.scene.name_of(gid)])


_ACTORS = {f"{kind}Notification.actors": _actors for kind in ("Post", "Comment", "Follow", "Decision")}

EXPECTED: dict[str, Expected] = {
    "Query.node": _asked,
    "Query.nodes": _asked,
    "Query.user": _asked,
    "Query.post": _asked,
    "Query.sharedCollection": _by_key,
    "Query.viewer": _mine("accounts"),
    "Query.feed": _feed,
    "Query.hashtag": _asked,
    "FeedEdge.hashtag": lambda rules, viewer, _: _by_hashtag(rules, viewer).values(),
    "Hashtag.posts": lambda rules, viewer, hashtag: [
        post.gid for post in rules.scene.posts.values() if hashtag in post.hashtags and rules.is_listed(viewer, post)
    ],
    "Query.explore": lambda rules, viewer, _: [
        post.gid for post in rules.scene.posts.values() if rules.is_listed(viewer, post) and not post.sensitive
    ],
    "Query.trendingHashtags": lambda rules, viewer, _: rules.scene.hashtags,
    "Query.placesNear": lambda rules, viewer, _: rules.scene.places,
    "Place.posts": lambda rules, viewer, place: [
        post.gid for post in rules.scene.posts.values() if post.place == place and rules.is_listed(viewer, post)
    ],
    "Post.location": lambda rules, viewer, post: _place_of(rules, post),
    "Location.place": lambda rules, viewer, post: _place_of(rules, post),
    "Viewer.followedHashtags": lambda rules, viewer, _: [
        gid for follower, gid in rules.scene.followed_hashtags if follower == viewer
    ],
    "Query.search": _found,
    "Query.suggestHandles": lambda rules, viewer, person: _can_meet(
        rules, viewer, {rules.scene.name_of(person)} - rules.scene.suspended
    ),
    "Query.suggestedUsers": _suggested,
    "Query.notifications": _notices,
    "Viewer.user": lambda rules, viewer, _: [] if viewer is None else [rules.scene.people[viewer]],
    "Viewer.sessions": _mine("sessions"),
    "Viewer.export": _mine("exports"),
    "Viewer.accessTokens": _mine("access_tokens"),
    "Viewer.passkeys": _mine("passkeys"),
    "Viewer.linkedIdentities": _mine("identities"),
    "Viewer.followRequests": lambda rules, viewer, _: _can_meet(
        rules, viewer, [asker for asker, asked in rules.scene.requests if asked == viewer]
    ),
    "Viewer.blockedUsers": lambda rules, viewer, _: [
        rules.scene.people[other]
        for blocker, other in rules.scene.blocks
        if blocker == viewer and other not in rules.scene.hidden_accounts
    ],
    "Viewer.mutedUsers": lambda rules, viewer, _: [
        rules.scene.people[other]
        for muter, other in rules.scene.mutes
        if muter == viewer and rules.can_find(viewer, other)
    ],
    "Viewer.savedPosts": lambda rules, viewer, _: _visible(
        rules, viewer, [post.gid for post in rules.scene.saves[viewer or ""]]
    ),
    "Viewer.likedPosts": lambda rules, viewer, _: _visible(
        rules, viewer, [post.gid for post in rules.scene.posts.values() if viewer in post.likers]
    ),
    "Viewer.collections": lambda rules, viewer, _: _collections(rules, viewer, viewer, only_public=False),
    "User.collections": lambda rules, viewer, person: _collections(
        rules, viewer, rules.scene.name_of(person), only_public=True
    ),
    "Collection.owner": lambda rules, viewer, gid: [rules.scene.people[rules.scene.collections[gid].owner]],
    "Collection.cover": _cover,
    "Collection.savedPosts": lambda rules, viewer, gid: _visible(
        rules, viewer, [post.gid for post in rules.scene.collections[gid].posts]
    ),
    "Post.viewerCollections": lambda rules, viewer, gid: [
        collection.gid
        for collection in rules.scene.collections.values()
        if collection.owner == viewer and rules.scene.posts[gid] in collection.posts
    ],
    "User.avatar": lambda rules, viewer, person: _avatar(rules, person),
    "User.posts": lambda rules, viewer, person: _visible(
        rules,
        viewer,
        [post.gid for post in rules.scene.posts.values() if post.author == rules.scene.name_of(person)],
    ),
    "User.taggedPosts": _tagged_posts,
    "User.followers": _followers,
    "User.following": _following,
    "User.mutualFollowers": _mutual_followers,
    "User.followedByViewerFollows": _mutual_followers,
    "MutualFollowers.users": _mutual_followers,
    "Post.author": lambda rules, viewer, post: [rules.scene.people[rules.scene.posts[post].author]],
    "Post.images": lambda rules, viewer, post: _visible(rules, viewer, [rules.scene.posts[post].image]),
    "Post.mentions": lambda rules, viewer, post: _can_meet(rules, viewer, rules.scene.posts[post].mentioned),
    "Post.likes": lambda rules, viewer, post: _can_meet(rules, viewer, rules.scene.posts[post].likers),
    "Post.comments": lambda rules, viewer, post: _comments(rules, viewer, _top_comments(rules, post)),
    "Post.previewComments": lambda rules, viewer, post: _comments(
        rules, viewer, _top_comments(rules, post)[-PREVIEW_COMMENTS:]
    ),
    "Comment.post": lambda rules, viewer, comment: [_post_of(rules, comment)],
    "Comment.author": lambda rules, viewer, comment: [rules.scene.people[rules.scene.comments[comment].author]],
    "Comment.mentions": lambda rules, viewer, comment: _can_meet(rules, viewer, rules.scene.comments[comment].mentions),
    "Comment.parent": lambda rules, viewer, comment: _visible(rules, viewer, _parent(rules, comment)),
    "Comment.replies": lambda rules, viewer, comment: _comments(
        rules,
        viewer,
        [reply for reply in rules.scene.comments.values() if reply.parent and reply.parent.gid == comment],
    ),
    "Image.taggedUsers": _tagged,
    "TaggedUser.user": _tagged,
    "MediaUpload.image": lambda rules, viewer, upload: _image_of(rules, upload),
    **_ACTORS,
    "PostNotification.post": lambda rules, viewer, notification: _visible(
        rules, viewer, [rules.scene.notifications[notification].post]
    ),
    "PostNotification.aboutPost": lambda rules, viewer, notification: _visible(
        rules, viewer, [rules.scene.notifications[notification].post]
    ),
    "PostNotification.comment": lambda rules, viewer, notification: _visible(
        rules, viewer, [rules.scene.notifications[notification].comment]
    ),
    "CommentNotification.comment": lambda rules, viewer, notification: _visible(
        rules, viewer, [rules.scene.notifications[notification].comment]
    ),
    "DecisionNotification.decision": lambda rules, viewer, notification: _visible(
        rules, viewer, [rules.scene.notifications[notification].decision]
    ),
    "Viewer.decisions": _mine("decisions"),
    "Query.moderation": lambda rules, viewer, root: _queue(rules, viewer, root) + _log(rules, viewer, root),
    "Moderation.queue": _queue,
    "Moderation.log": _log,
    "ModerationEvent.subject": _subjects,
    "ModerationEvent.moderator": _moderators,
    "ModerationCase.target": lambda rules, viewer, case: [
        gid for gid in [rules.scene.cases[case].target] if rules.exists(gid)
    ],
    "ModerationCase.subject": lambda rules, viewer, case: _existing(rules, [rules.scene.cases[case].subject]),
    "ModerationCase.claimedBy": lambda rules, viewer, case: _existing(rules, [rules.scene.cases[case].claimed_by]),
    "ModerationCase.appealedDecision": _log,
    "ModerationCase.reports": _reporters,
    "Report.reporter": _reporters,
    "Subscription.notificationAdded": _notices,
    "NotificationEvent.notification": _notices,
    "Subscription.uploadUpdated": _asked,
}


COUNTS: dict[str, str] = {
    "ModerationCase.reportCount": "for moderators: of all reports of its target",
    "FeedEvent.newPostCount": "of what the feed shows of others: tested in test_subscriptions",
    "Hashtag.postCount": "of posts that everybody may see: one number for all, which says nothing of private accounts",
    "Place.postCount": "as of a hashtag",
    "Collection.savedPostCount": "for its owner alone, null for others: tested in test_shared_collections",
    "Post.likeCount": "of all who like it: one number for everybody who may see the post",
    "Post.commentCount": "of all comments, as above",
    "Comment.likeCount": "as above",
    "Comment.replyCount": "as above",
    "User.postCount": "part of the profile, as the next two",
    "User.followerCount": "of all who follow",
    "MutualFollowers.count": "of those whom mutualFollowers lists: tested in test_mutual_followers",
    "User.followingCount": "of all who are followed",
    "PostNotification.actorCount": "of all who did it",
    "CommentNotification.actorCount": "of all who did it",
    "FollowNotification.actorCount": "of the one who did it",
    "DecisionNotification.actorCount": "of nobody",
    "Viewer.unreadNotificationCount": "of what the list shows: tested in test_subscriptions",
}
