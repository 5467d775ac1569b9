"""What a person should be shown by the model: exact values while nothing is pending, ranges otherwise."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.state_machine.model import FOLLOWING, REQUESTED, Fact, Model, Subject, Thing

PREVIEWS = 3


@dataclass(frozen=True)
class Between:
    """Equals every number from `least` to `greatest`."""

    least: int
    greatest: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and self.least <= other <= self.greatest

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Among:
    """Equals lists of all of `must` and nothing but `may`, each once, in the order of `may` if that is a list."""

    must: Collection[Any]
    may: Collection[Any]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) or not set(self.must) <= set(other) <= set(self.may):
            return False
        in_order = not isinstance(self.may, list) or other == [item for item in self.may if item in other]
        return in_order and len(set(other)) == len(other)

    __hash__ = None  # type: ignore[assignment]


class Expected:
    """What one person should see of the model. `in_answer` to a mutation, counters include the viewer's own actions."""

    def __init__(self, model: Model, viewer: str, *, in_answer: bool = False) -> None:
        self.model = model
        self.viewer = viewer
        self._in_answer = in_answer

    def person(self, other: str) -> dict[str, Any] | None:
        """A profile without its lists."""
        model, viewer = self.model, self.viewer
        if not model.sees_person(viewer, other):
            return None
        return {
            "username": other,
            "isPrivate": other in model.private,
            "followerCount": self._total([model.follows[person, other] for person in model.people]),
            "followingCount": self._total([model.follows[other, person] for person in model.people]),
            "viewerFollowState": model.shown_state(viewer, other),
            "viewerIsFollowed": model.state(other, viewer) == FOLLOWING,
            "viewerHasBlocked": (viewer, other) in model.blocks,
            "viewerHasMuted": (viewer, other) in model.mutes,
        }

    def profile(self, other: str) -> dict[str, Any] | None:
        """A profile with its lists."""
        person = self.person(other)
        if person is None:
            return None
        model, shown = self.model, self.model.sees_content(self.viewer, other)
        own = [post for post in model.posts if post.author == other]
        return person | {
            "postCount": self._total([post.counts for post in own]),
            "posts": [post.id for post in own[::-1] if self.model.sees(self.viewer, post)],
            "followers": self._visible_ends([(person, (person, other)) for person in model.people if shown]),
            "following": self._visible_ends([(person, (other, person)) for person in model.people if shown]),
        }

    def thing(self, thing: Thing) -> dict[str, Any] | None:
        """The fields that posts and comments share."""
        if not self.model.sees(self.viewer, thing):
            return None
        liked = thing.likes.get(self.viewer)
        return {
            "id": thing.id,
            "likeCount": self._total(thing.likes.values()),
            "viewerHasLiked": liked is not None and liked.now,
        }

    def post(self, post: Thing) -> dict[str, Any] | None:
        """A post without its lists."""
        comments = [comment for comment in self.model.comments if comment.post is post]
        thing = self.thing(post)
        return thing and thing | {
            "commentCount": self._total([comment.counts for comment in comments]),
            "viewerHasSaved": post in self.model.saved[self.viewer],
        }

    def post_page(self, post: Thing) -> dict[str, Any] | None:
        """A post with its lists."""
        shown = self.post(post)
        comments = [each for each in self.model.comments[::-1] if each.post is post and each.parent is None]
        alive = [comment for comment in comments if comment.exists.now]
        applied = all(len(comment.counts.counted) == 1 for comment in comments)
        latest = [comment for comment in alive if not comment.hidden][:PREVIEWS]
        previews = [comment.id for comment in latest if self.model.sees(self.viewer, comment)]
        return shown and shown | {
            "likes": self._likers(post),
            "comments": [comment.id for comment in alive if self.model.sees(self.viewer, comment)],
            "previewComments": previews if applied else Among([], {comment.id for comment in comments}),
        }

    def comment_page(self, comment: Thing) -> dict[str, Any] | None:
        """A comment with its replies."""
        shown = self.thing(comment)
        replies = [each for each in self.model.comments if each.parent is comment]
        return shown and shown | {
            "replyCount": self._total(reply.counts for reply in replies),
            "replies": [reply.id for reply in replies if self.model.sees(self.viewer, reply)],
        }

    def feed(self) -> Among:
        """Posts of the viewer and of people followed and not muted, newest first. Pending fan-outs may be missing."""
        model, viewer = self.model, self.viewer
        followed = {person for person in model.people if model.shown_state(viewer, person) == FOLLOWING}
        authors = {person for person in followed if (viewer, person) not in model.mutes} | {viewer}
        own = {post.id for post in model.posts if post.author in authors and model.sees(viewer, post)}
        shown = [post for post in model.posts if post.id in own and not post.hidden]
        must = {post.id for post in shown if not post.is_new or (post.author == viewer and not post.was_hidden)}
        by_hashtag = self.listed() if viewer in model.follows_hashtag else Among([], [])
        may = own.union(by_hashtag.may)
        return Among(must.union(by_hashtag.must), [post.id for post in model.posts[::-1] if post.id in may])

    def hashtag(self) -> dict[str, Any]:
        """The page of the hashtag that every post has."""
        return {
            "viewerIsFollowing": self.viewer in self.model.follows_hashtag,
            "postCount": self._total(post.listed for post in self.model.posts),
            "posts": self.listed(),
        }

    def listed(self) -> Among:
        """The posts of the hashtag that the viewer sees, newest first. What is pending may be missing."""
        model, viewer = self.model, self.viewer
        may = [
            post
            for post in model.posts[::-1]
            if post.listed.now and model.sees(viewer, post) and (viewer, post.author) not in model.mutes
        ]
        return Among([post.id for post in may if post.listed.counted == {True}], [post.id for post in may])

    def saved(self, posts: Sequence[Thing]) -> Among:
        """Posts that the viewer has saved, in their order. Deleted ones stay until what hangs on them is removed."""
        left = [post for post in posts if post.exists.counted != {False}]
        shown = {post.id: (post.id, post.id if self.model.sees(self.viewer, post) else None) for post in left}
        return Among([shown[post.id] for post in left if post.exists.now], list(shown.values()))

    def collection(self) -> dict[str, Any]:
        """The viewer's collection."""
        posts = self.saved(self.model.collected[self.viewer])
        return {"savedPostCount": Between(len(posts.must), len(posts.may)), "savedPosts": posts}

    def requests(self) -> Among:
        """The people who ask to follow the viewer."""
        model = self.model
        asking = [
            person
            for person in model.people
            if model.state(person, self.viewer) == REQUESTED and model.sees_person(self.viewer, person)
        ]
        return Among(set(asking), set(asking))

    def notifications(self) -> dict[Subject, dict[str, Any]]:
        """Every notification while nothing is pending. One that may be missing has `is_sure: False`."""
        notifications = {}
        for (recipient, kind, about), actors in self.model.notified.items():
            thing = next((each for each in (*self.model.posts, *self.model.comments) if each.id == about), None)
            if recipient == self.viewer and (thing is None or self.model.sees(recipient, thing)):
                notification = self._notification(kind, actors)
                if kind == "POST_READY" or notification["actors"].may:
                    notifications[recipient, kind, about] = notification | {"kind": kind, "about": thing and thing.id}
        return notifications

    def _notification(self, kind: str, actors: dict[str, set[bool]]) -> dict[str, Any]:
        must, may = [who for who in actors if all(actors[who])], [who for who in actors if any(actors[who])]
        met = {who for who in actors if self.model.meets(self.viewer, who)}
        return {
            "actorCount": Between(len(must), len(may)),
            "actors": Among(met.intersection(must), met.intersection(may)),
            "is_sure": kind == "POST_READY" or not met.isdisjoint(must),
        }

    def _total(self, facts: Iterable[Fact]) -> Between:
        """A counter of facts: each as it is, or as it was at any time since the counters were last exact."""
        exact = self.viewer if self._in_answer else ""
        ranges = [{fact.now} if exact in fact.by else fact.counted for fact in facts]
        return Between(sum(map(min, ranges)), sum(map(max, ranges)))

    def _likers(self, thing: Thing) -> Among:
        likers = {who for who, like in thing.likes.items() if like.now and self.model.meets(self.viewer, who)}
        return Among(likers, likers)

    def _visible_ends(self, pairs: Sequence[tuple[str, tuple[str, str]]]) -> Among:
        """The people at the other end of these follows, without those behind a block."""
        model = self.model
        ends = {who for who, pair in pairs if model.follows[pair].now and model.meets(self.viewer, who)}
        return Among(ends, ends)
