"""What the product should show, worked out from its rules alone, with plain sets instead of a database."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

NOT_FOUND, NOT_ALLOWED, INVALID, QUOTA = "NOT_FOUND", "NOT_ALLOWED", "INVALID_INPUT", "QUOTA_EXCEEDED"
SUSPENDED = "ACCOUNT_SUSPENDED"
TURNS_TO_PUBLIC = 3  # in a day, and no case takes a day
EITHER = "EITHER"  # done or NOT_FOUND: a deleted thing may have been cleaned up
NONE, REQUESTED, FOLLOWING = "NONE", "REQUESTED", "FOLLOWING"

Subject = tuple[str, str, str]  # recipient, kind, and what it is about


@dataclass
class Fact:
    """Something that is true or false, and counted. `counted` has every value since the counters were last exact.

    A counter may reflect any of these values. In answers to `by`, who changed the fact last, it reflects `now`.
    """

    now: bool = False
    counted: set[bool] = field(default_factory=lambda: {False})
    by: frozenset[str] = frozenset()

    def set(self, now: bool, *by: str) -> None:
        """Sets the value."""
        if self.now is not now:
            self.now, self.by = now, frozenset(by)
            self.counted.add(now)

    def apply(self) -> None:
        """Makes the counters exact."""
        self.counted = {self.now}


@dataclass
class Thing:
    """A post or a comment. A comment has a post; a reply has a parent too.

    What moderators hide still exists, and does not count; what they have `removed` is hidden too, from its author as
    well. `was_hidden` holds until nothing is pending.
    """

    id: str
    author: str
    post: "Thing | None" = None
    parent: "Thing | None" = None
    exists: Fact = field(default_factory=Fact)
    counts: Fact = field(default_factory=Fact)
    listed: Fact = field(default_factory=Fact)  # a post under its hashtag, which every post has
    mentioned: str | None = None
    hidden: bool = False
    removed: bool = False
    was_hidden: bool = False
    likes: dict[str, Fact] = field(default_factory=dict)
    is_new: bool = True

    @property
    def of_post(self) -> "Thing":
        """The post itself, or the post of a comment."""
        return self.post or self


class Model:
    """The rules. Every mutation returns None when it is done, or the code of its refusal."""

    def __init__(self, people: Iterable[str]) -> None:
        self.people = list(people)
        self.private: set[str] = set()
        self.away: set[str] = set()  # who has deactivated their account; they come back before they do anything
        self.suspended: set[str] = set()  # until moderators restore them, or by itself
        self.banned: set[str] = set()
        self.turns_to_public = Counter[str]()
        self.posts: list[Thing] = []
        self.comments: list[Thing] = []
        self.blocks: set[tuple[str, str]] = set()
        self.mutes: set[tuple[str, str]] = set()
        self.follows_hashtag: set[str] = set()
        self.saved: dict[str, list[Thing]] = {person: [] for person in self.people}  # latest first
        self.collected: dict[str, list[Thing]] = {person: [] for person in self.people}  # in their only collection
        self.states: dict[tuple[str, str], str] = {}
        self.follows = {pair: Fact() for pair in product(self.people, self.people)}
        self.notified: dict[Subject, dict[str, set[bool]]] = {}
        self._pending: dict[tuple[Subject, str], Thing | None] = {}
        self._before_hidden: dict[Subject, dict[str, set[bool]]] = {}  # who was notified of what is hidden

    def is_blocked(self, one: str, other: str) -> bool:
        """Whether there is a block between two people, in any direction."""
        return (one, other) in self.blocks or (other, one) in self.blocks

    @property
    def restricted(self) -> set[str]:
        """Who is hidden from all others by moderators, follows nobody and cannot act."""
        return self.suspended | self.banned

    def is_there(self, viewer: str, other: str) -> bool:
        """Whether somebody is neither away nor hidden from the viewer by moderators."""
        return viewer == other if other in self.restricted else other not in self.away

    def sees_person(self, viewer: str, other: str) -> bool:
        """Whether a viewer sees a profile. Blockers see whom they blocked, to be able to undo it."""
        return self.is_there(viewer, other) and (other, viewer) not in self.blocks

    def sees_content(self, viewer: str, owner: str) -> bool:
        """Whether a viewer sees the posts and lists of a person."""
        is_closed = owner in self.private and viewer in self.restricted and viewer != owner
        return self.is_there(viewer, owner) and not is_closed and self.may_see_content(viewer, owner)

    def may_see_content(self, viewer: str, owner: str) -> bool:
        """As `sees_content`, once the person is back."""
        if viewer == owner:
            return True
        return not self.is_blocked(viewer, owner) and (
            owner not in self.private or self.state(viewer, owner) == FOLLOWING
        )

    def sees(self, viewer: str, thing: Thing) -> bool:
        """Whether a viewer sees a post, or a comment and what it is below."""
        if not thing.exists.now or not self.sees_content(viewer, thing.of_post.author):
            return False
        if thing.removed or (thing.hidden and viewer != thing.author):
            return False
        above = thing.parent or thing.post
        return above is None or (self.meets(viewer, thing.author) and self.sees(viewer, above))

    def meets(self, viewer: str, other: str) -> bool:
        """Whether a viewer is shown a person among others."""
        return self.is_there(viewer, other) and not self.is_blocked(viewer, other)

    def shown_state(self, viewer: str, other: str) -> str:
        """The state of the viewer's follow as it is shown to them."""
        return NONE if viewer in self.restricted else self.state(viewer, other)

    def state(self, follower: str, followee: str) -> str:
        """The state of a follow."""
        return self.states.get((follower, followee), NONE)

    def is_notified(self, recipient: str, actor: str, thing: Thing | None) -> bool:
        """Whether a recipient is notified of an actor's action (about a thing, whose post they must see)."""
        if recipient == actor or self.is_blocked(recipient, actor) or (recipient, actor) in self.mutes:
            return False
        if thing is None:
            return True
        post = thing.of_post  # of somebody who is away: told of when they are back
        is_own = recipient == post.author
        is_hidden = post.removed or ((post.hidden or post.author in self.restricted) and not is_own)
        return post.exists.now and not is_hidden and self.may_see_content(recipient, post.author)

    def post(self, author: str, post_id: str, mentioned: str | None) -> Thing:
        """Adds a ready post."""
        post = Thing(post_id, author)
        post.exists.set(True, author)
        post.counts.set(True, author)
        self.posts.append(post)
        self.notified[author, "POST_READY", post_id] = {}
        if mentioned not in (None, author):
            post.mentioned = mentioned
            self._notify(_mention(post), author, post)
        self.note_listing()
        return post

    def hide(self, thing: Thing, *, removed: bool) -> None:
        """Moderators hide a thing from all but its author, or remove it; others are not notified of it any more."""
        if not thing.hidden:
            thing.hidden = thing.was_hidden = True
            thing.counts.set(False)
            for subject in self._told_of(thing):
                self._before_hidden[subject] = self.notified.get(subject, {})
                self._withdraw(subject)
        thing.removed = removed

    def restore(self, thing: Thing) -> None:
        """Moderators show it again. If no worker has heard that it was hidden, who was notified stays so."""
        thing.hidden, thing.removed, thing.is_new = False, False, True
        thing.counts.set(True)
        for subject in [subject for subject in self._before_hidden if subject[2] == thing.id]:
            self._notify(subject, thing.author, thing)
            self.notified[subject][thing.author] |= self._before_hidden.pop(subject).get(thing.author, set())

    def _told_of(self, thing: Thing) -> list[Subject]:
        """What others are told of a thing, but for its likes, of which its author is told."""
        return [subject for subject in self.notified if subject[2] == thing.id and subject[0] != thing.author]

    def delete_post(self, viewer: str, post: Thing) -> str | None:
        """Deletes a post and its comments."""
        if post.author != viewer:
            return NOT_ALLOWED if self.sees(viewer, post) else NOT_FOUND
        if not post.exists.now:
            return EITHER  # until its tombstone is cleaned up
        post.exists.set(False, viewer)
        post.counts.set(False, viewer)
        for comment in self.comments:
            if comment.post is post:
                self._end_comment(comment, viewer)
        self._withdraw_all(post.id)
        return None

    def may_comment(self, viewer: str, post: Thing, parent: Thing | None) -> str | None:
        """The refusal of a comment or reply, or None."""
        if viewer in self.restricted:
            return SUSPENDED
        if not self.sees(viewer, post):
            return NOT_FOUND
        if parent is not None and not self.sees(viewer, parent):
            return NOT_FOUND
        return INVALID if parent is not None and parent.parent else None

    def comment(self, author: str, comment_id: str, post: Thing, parent: Thing | None, mentioned: str | None) -> Thing:
        """Adds a comment. Everybody concerned is notified once, of what concerns them most."""
        comment = Thing(comment_id, author, post, parent)
        comment.exists.set(True, author)
        comment.counts.set(True, author)
        self.comments.append(comment)
        kinds = {} if mentioned is None else {mentioned: "MENTIONED"}
        kinds[post.author] = "COMMENTED"
        if parent is not None:
            kinds[parent.author] = "REPLIED"
        for recipient, kind in kinds.items():
            if recipient != author:
                self._notify((recipient, kind, comment_id), author, comment)
        return comment

    def delete_comment(self, viewer: str, comment: Thing) -> str | None:
        """Deletes a comment and its replies. Its author and the post's author may, whatever blocks there are."""
        post = comment.of_post
        is_below_own = viewer == post.author and post.exists.now and not post.removed and not comment.hidden
        is_theirs = viewer == comment.author or is_below_own
        if not is_theirs:
            return NOT_ALLOWED if self.sees(viewer, comment) else NOT_FOUND
        if not comment.exists.now:
            above = comment.parent or comment.of_post
            return NOT_FOUND if above.exists.now else EITHER  # until what it was below is cleaned up
        self._end_comment(comment, viewer)
        for reply in self.comments:
            if reply.parent is comment and reply.exists.now:
                self._end_comment(reply)
        return None

    def like(self, viewer: str, thing: Thing, *, likes: bool) -> str | None:
        """Likes or unlikes."""
        if not self.sees(viewer, thing):
            return NOT_FOUND
        like = thing.likes.setdefault(viewer, Fact())
        if like.now is not likes:
            like.set(likes, viewer)
            subject = (thing.author, "COMMENT_LIKED" if thing.post else "POST_LIKED", thing.id)
            if likes and viewer != thing.author:
                self._notify(subject, viewer, thing)
            elif viewer in self.notified.get(subject, {}):
                del self.notified[subject][viewer]
                self._pending.pop((subject, viewer), None)
        return None

    def save(self, viewer: str, post: Thing, *, collects: bool) -> str | None:
        """Saves a post, in the viewer's collection or in none."""
        if not self.sees(viewer, post):
            return NOT_FOUND
        for posts, has in ((self.saved[viewer], True), (self.collected[viewer], collects)):
            if has and post not in posts:
                posts.insert(0, post)
            elif not has and post in posts:
                posts.remove(post)
        return None

    def unsave(self, viewer: str, post: Thing) -> None:
        """Takes a post out of what the viewer has saved, also one that they do not see any more."""
        for posts in (self.saved[viewer], self.collected[viewer]):
            if post in posts:
                posts.remove(post)

    def follow(self, viewer: str, other: str) -> str | None:
        """Follows, or asks to follow a private account."""
        if not self.sees_person(viewer, other):
            return NOT_FOUND
        if (viewer, other) in self.blocks:
            return NOT_ALLOWED
        if self.state(viewer, other) != FOLLOWING:
            self._set_state(viewer, other, REQUESTED if other in self.private else FOLLOWING, "FOLLOWED")
        return None

    def unfollow(self, viewer: str, other: str) -> str | None:
        """Ends a follow or a request."""
        if not self.sees_person(viewer, other):
            return NOT_FOUND
        self._set_state(viewer, other, NONE)
        return None

    def remove_follower(self, viewer: str, other: str) -> str | None:
        """Ends the other's follow or request."""
        if not self.sees_person(viewer, other):
            return NOT_FOUND
        self._set_state(other, viewer, NONE)
        return None

    def accept(self, viewer: str, other: str) -> str | None:
        """Accepts a request. One that was accepted before stays so."""
        if not self.sees_person(viewer, other) or self.state(other, viewer) == NONE:
            return NOT_FOUND
        self._set_state(other, viewer, FOLLOWING, "FOLLOW_ACCEPTED")
        return None

    def decline(self, viewer: str, other: str) -> str | None:
        """Declines a request, if there is one."""
        if not self.sees_person(viewer, other):
            return NOT_FOUND
        if self.state(other, viewer) == REQUESTED:
            self._set_state(other, viewer, NONE)
        return None

    def block(self, viewer: str, other: str) -> str | None:
        """Hides two people from each other and ends their follows."""
        if not self.sees_person(viewer, other):
            return NOT_FOUND
        self.blocks.add((viewer, other))
        self._set_state(viewer, other, NONE)
        self._set_state(other, viewer, NONE)
        return None

    def unblock(self, viewer: str, other: str) -> str | None:
        """Ends a block. Follows do not come back."""
        return self._mark(self.blocks, viewer, other, there=False)

    def mute(self, viewer: str, other: str) -> str | None:
        """Keeps the other's activity out of feed and notifications."""
        return self._mark(self.mutes, viewer, other, there=True)

    def unmute(self, viewer: str, other: str) -> str | None:
        """Ends a mute. What was missed stays missed."""
        return self._mark(self.mutes, viewer, other, there=False)

    def follow_hashtag(self, viewer: str, *, follows: bool) -> None:
        """Follows the hashtag that every post has, or not any more."""
        (self.follows_hashtag.add if follows else self.follows_hashtag.discard)(viewer)

    def set_private(self, viewer: str, *, private: bool) -> str | None:
        """Sets an account private or public. Going public accepts all requests."""
        if viewer in self.private and not private:
            if self.turns_to_public[viewer] == TURNS_TO_PUBLIC:
                return QUOTA
            self.turns_to_public[viewer] += 1
        (self.private.add if private else self.private.discard)(viewer)
        for other in self.people:
            if not private and self.state(other, viewer) == REQUESTED:
                self._set_state(other, viewer, FOLLOWING, "FOLLOW_ACCEPTED")
        return None

    def note_change(self) -> None:
        """Records, after each action, whether pending notifications would be sent by the rules of this moment."""
        for (subject, actor), thing in self._pending.items():
            self.notified[subject][actor].add(self.is_notified(subject[0], actor, thing))
        self.note_listing()

    def note_listing(self) -> None:
        """Records, after each action, which posts strangers may see."""
        for post in self.posts:
            is_open = post.author not in self.private | self.away | self.restricted
            post.listed.set(is_open and post.exists.now and not post.hidden and not post.removed)

    def apply(self) -> None:
        """Nothing is pending any more: all counters and feeds are exact."""
        self._pending.clear()
        for fact in self._facts():
            fact.apply()
        for thing in (*self.posts, *self.comments):
            thing.is_new = thing.was_hidden = False

    def _facts(self) -> Iterator[Fact]:
        yield from self.follows.values()
        for thing in (*self.posts, *self.comments):
            yield from (thing.exists, thing.counts, thing.listed)
            yield from thing.likes.values()

    def _mark(self, pairs: set[tuple[str, str]], viewer: str, other: str, *, there: bool) -> str | None:
        if not self.sees_person(viewer, other):
            return NOT_FOUND
        (pairs.add if there else pairs.discard)((viewer, other))
        return None

    def _set_state(self, follower: str, followee: str, state: str, kind: str = "") -> None:
        """Sets the state of a follow and notifies those concerned: of following, by `kind`."""
        if self.state(follower, followee) == state:
            return
        self.states[follower, followee] = state
        self.follows[follower, followee].set(state == FOLLOWING, follower, followee)
        self._withdraw((followee, "FOLLOWED", follower))
        self._withdraw((followee, "FOLLOW_REQUESTED", follower))
        self._withdraw((follower, "FOLLOW_ACCEPTED", followee))
        if state == REQUESTED:
            self._notify((followee, "FOLLOW_REQUESTED", follower), follower, None)
        elif kind == "FOLLOWED":
            self._notify((followee, kind, follower), follower, None)
        elif state == FOLLOWING:
            self._notify((follower, kind, followee), followee, None)

    def _end_comment(self, comment: Thing, *by: str) -> None:
        comment.exists.set(False, *by)
        comment.counts.set(False, *by)
        self._withdraw_all(comment.id)

    def _withdraw_all(self, about: str) -> None:
        for subject in [subject for subject in self.notified if subject[2] == about]:
            self._withdraw(subject)

    def _notify(self, subject: Subject, actor: str, thing: Thing | None) -> None:
        self.notified.setdefault(subject, {})[actor] = {self.is_notified(subject[0], actor, thing)}
        self._pending[subject, actor] = thing

    def _withdraw(self, subject: Subject) -> None:
        for actor in self.notified.pop(subject, {}):
            self._pending.pop((subject, actor), None)


def _mention(post: Thing) -> Subject:
    return (str(post.mentioned), "MENTIONED", post.id)
