"""What a person should be shown, by the model: exactly while nothing is owed, and within what is owed otherwise."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.state_machine.model import FOLLOWING, REQUESTED, Fact, Model, Subject, Thing

PREVIEWS = 3


@dataclass(frozen=True)
class Between:
    """Equals every number from `least` to `most`."""

    least: int
    most: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and self.least <= other <= self.most

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Among:
    """Equals lists that hold all of `must` and nothing but `may`, each once; in the order of `may` if it has one."""

    must: Collection[Any]
    may: Collection[Any]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) or not set(self.must) <= set(other) <= set(self.may):
            return False
        in_order = not isinstance(self.may, list) or other == [one for one in self.may if one in other]
        return in_order and len(set(other)) == len(other)

    __hash__ = None  # type: ignore[assignment]


class Expected:
    """What one person should see of the model; `in_answer` to a mutation, counters have the viewer's own acts."""

    def __init__(self, model: Model, viewer: str, *, in_answer: bool = False) -> None:
        self.model = model
        self.viewer = viewer
        self._in_answer = in_answer

    def person(self, other: str) -> dict[str, Any] | None:
        """A profile, as an answer and as a page."""
        model, viewer = self.model, self.viewer
        if not model.sees_person(viewer, other):
            return None
        return {
            "username": other,
            "isPrivate": other in model.private,
            "followerCount": self._total([model.follows[one, other] for one in model.people]),
            "followingCount": self._total([model.follows[other, one] for one in model.people]),
            "viewerFollowState": model.state(viewer, other),
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
            "postCount": self._total([post.life for post in own]),
            "posts": [post.id for post in own[::-1] if self.model.sees(self.viewer, post)],
            "followers": self._ends([(one, (one, other)) for one in model.people if shown]),
            "following": self._ends([(one, (other, one)) for one in model.people if shown]),
        }

    def thing(self, thing: Thing) -> dict[str, Any] | None:
        """What a post and a comment have in common."""
        if not self.model.sees(self.viewer, thing):
            return None
        liked = thing.likes.get(self.viewer)
        return {
            "id": thing.id,
            "likeCount": self._total(thing.likes.values()),
            "viewerHasLiked": liked is not None and liked.now,
        }

    def post(self, post: Thing) -> dict[str, Any] | None:
        """A post, as an answer."""
        comments = [comment for comment in self.model.comments if comment.post is post]
        thing = self.thing(post)
        return thing and thing | {"commentCount": self._total([comment.life for comment in comments])}

    def post_page(self, post: Thing) -> dict[str, Any] | None:
        """A post with its lists."""
        shown = self.post(post)
        comments = [one for one in self.model.comments[::-1] if one.post is post and one.parent is None]
        alive = [one for one in comments if one.life.now]
        applied = all(len(one.life.counted) == 1 for one in comments)
        previews = [one.id for one in alive[:PREVIEWS] if self.model.sees(self.viewer, one)]
        return shown and shown | {
            "likes": self._likers(post),
            "comments": [one.id for one in alive if self.model.sees(self.viewer, one)],
            "previewComments": previews if applied else Among([], {one.id for one in comments}),
        }

    def comment_page(self, comment: Thing) -> dict[str, Any] | None:
        """A comment with its replies."""
        shown = self.thing(comment)
        replies = [one for one in self.model.comments if one.parent is comment]
        return shown and shown | {
            "replyCount": self._total(reply.life for reply in replies),
            "replies": [one.id for one in replies if self.model.sees(self.viewer, one)],
        }

    def feed(self) -> Among:
        """Own posts and those of the people followed and not muted, newest first; new ones of others as they come."""
        model, viewer = self.model, self.viewer
        heard = {
            one for one in model.people if model.state(viewer, one) == FOLLOWING and (viewer, one) not in model.mutes
        }
        all_of_it = [post for post in model.posts[::-1] if post.author in heard | {viewer} and model.sees(viewer, post)]
        must = [post.id for post in all_of_it if post.author == viewer or not post.is_new]
        return Among(must, [post.id for post in all_of_it])

    def requests(self) -> Among:
        """Who asks to follow one."""
        model = self.model
        asking = [
            one
            for one in model.people
            if model.state(one, self.viewer) == REQUESTED and model.sees_person(self.viewer, one)
        ]
        return Among(set(asking), set(asking))

    def notices(self) -> dict[Subject, dict[str, Any]]:
        """Every standing notification, while nothing is owed; one that need not be there says `is_sure: False`."""
        notices = {}
        for (recipient, kind, about), actors in self.model.notified.items():
            thing = next((one for one in (*self.model.posts, *self.model.comments) if one.id == about), None)
            if recipient == self.viewer and (thing is None or self.model.sees(recipient, thing)):
                notice = self._notice(kind, actors)
                if kind == "POST_READY" or notice["actors"].may:
                    notices[recipient, kind, about] = notice | {"kind": kind, "about": thing and thing.id}
        return notices

    def _notice(self, kind: str, actors: dict[str, set[bool]]) -> dict[str, Any]:
        must, may = [one for one in actors if all(actors[one])], [one for one in actors if any(actors[one])]
        met = {one for one in actors if not self.model.apart(self.viewer, one)}
        return {
            "actorCount": Between(len(must), len(may)),
            "actors": Among(met.intersection(must), met.intersection(may)),
            "is_sure": kind == "POST_READY" or not met.isdisjoint(must),
        }

    def _total(self, facts: Iterable[Fact]) -> Between:
        """A counter of facts: each as it is, or as it was at some time since the last settling."""
        exact = self.viewer if self._in_answer else ""
        ranges = [{fact.now} if exact in fact.by else fact.counted for fact in facts]
        return Between(sum(map(min, ranges)), sum(map(max, ranges)))

    def _likers(self, thing: Thing) -> Among:
        likers = {one for one, like in thing.likes.items() if like.now and not self.model.apart(self.viewer, one)}
        return Among(likers, likers)

    def _ends(self, pairs: Sequence[tuple[str, tuple[str, str]]]) -> Among:
        """The people at the other end of follows, but those behind a block."""
        there = {one for one, pair in pairs if self.model.follows[pair].now and not self.model.apart(self.viewer, one)}
        return Among(there, there)
