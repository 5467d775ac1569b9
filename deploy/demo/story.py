"""The plan of the demo: who posts what and when, who likes it, who comments what. It is always the same.

Times are ages, counted back from the day of seeding.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from bson import ObjectId

from datasources.mongo.sharded_ids import new_id
from deploy.demo.dialogue import ABOUT, ANYTHING, EXPLANATIONS, POINTING, THANKS
from deploy.demo.people import BY_NAME, DEMO_USERNAME, PEOPLE, fixed_id, friends_of, user_id
from deploy.demo.post_details import ADDED, IN_THE_PICTURE, PLACES
from domain.records.posts import LocationRecord

POSTS = 60
EXAMPLE = 0  # the post that examples name: its id and its date are the same in every demo
EXAMPLE_AT = datetime(2024, 6, 1, 18, 40, tzinfo=UTC)

_AUTHORS = {
    "ana": (2, 12, 15, 25, 33, 46, 49, 59),
    "ben": (0, 8, 21, 34, 47, 55),
    "chloe": (11, 24, 37, 45, 50, 58),
    "diego": (7, 20, 28, 41, 54),
    "emi": (1, 6, 14, 19, 27, 32, 40, 48, 53),
    "farid": (3, 16, 26, 29, 42),
    "greta": (5, 18, 31, 44, 57),
    "hugo": (9, 13, 22, 35, 43, 56),
    "ines": (10, 23, 36, 39, 52),
    "noor": (4, 17, 30, 38, 51),
}
_AUTHOR_OF = {number: author for author, numbers in _AUTHORS.items() for number in numbers}
_SLICES = {3: 3, 4: 2, 18: 1, 34: 3, 43: 2, 48: 3, 53: 1}  # panoramas shown whole and then in so many slices
_A_DAY = timedelta(hours=25)  # nothing of the demo's user counts for today's quota
_LONGEST_DIALOGUE = timedelta(days=2)


class PlannedComment(NamedTuple):
    """A comment made `after` its post; `answers` is the position, in the list, of the comment it answers."""

    author: str
    text: str
    after: timedelta
    likers: tuple[str, ...] = ()
    answers: int | None = None


class PlannedPost(NamedTuple):
    """One post with its likes and comments; `slices` more images are cut out of its picture."""

    number: int
    author: str
    age: timedelta
    slices: int
    added: str
    place: LocationRecord | None
    tags: tuple[tuple[str, float, float], ...]
    likers: tuple[str, ...]
    comments: tuple[PlannedComment, ...]

    def made_at(self, now: datetime) -> datetime:
        """When it was posted, for a demo seeded `now`."""
        return EXAMPLE_AT if self.number == EXAMPLE else now - self.age

    def new_id(self, now: datetime) -> ObjectId:
        """An id for it that sorts by that time."""
        return (
            fixed_id(EXAMPLE_AT, EXAMPLE) if self.number == EXAMPLE else new_id(user_id(self.author), self.made_at(now))
        )


def planned_posts(count: int = POSTS) -> list[PlannedPost]:
    """The first `count` posts; each is the same however many are asked for."""
    return [_plan(number) for number in range(count)]


def _plan(number: int) -> PlannedPost:
    rng, author = Random(1_000 + number), _AUTHOR_OF[number]  # noqa: S311  not a secret: the same every time
    age = _age(rng, number, author)
    public = sorted(set(BY_NAME) - {author})
    audience = sorted(friends_of(author)) if BY_NAME[author].is_private else public
    return PlannedPost(
        number=number,
        author=author,
        age=age,
        slices=_SLICES.get(number, 0),
        added=ADDED.get(number, ""),
        place=PLACES.get(number),
        tags=IN_THE_PICTURE.get(number, ()),
        likers=_likers(rng, number, author, audience),
        comments=_comments(rng, author, audience, age),
    )


def _age(rng: Random, number: int, author: str) -> timedelta:
    """Denser towards today: eight on the last day, three weeks in all."""
    steps = max(0, number - 1)
    age = timedelta(hours=0.4 + 2.6 * steps + 0.1 * steps**2 + rng.uniform(0, 1.5))
    return age + _A_DAY if author == DEMO_USERNAME else age


def _likers(rng: Random, number: int, author: str, audience: list[str]) -> tuple[str, ...]:
    """Friends like more than strangers do. The demo's user leaves the example's post to the visitor."""
    liked_by = rng.uniform(0.45, 0.95)
    likers = [name for name in audience if rng.random() < liked_by * (1 if author in BY_NAME[name].follows else 0.4)]
    rng.shuffle(likers)
    return tuple(name for name in likers if number != EXAMPLE or name != DEMO_USERNAME)


def _comments(rng: Random, author: str, audience: list[str], age: timedelta) -> tuple[PlannedComment, ...]:
    count = rng.choice((1, 1, 2, 2, 3, 4))
    texts = rng.sample((*ANYTHING, *ABOUT[author] * 2), count + len(ABOUT[author]))
    texts = list(dict.fromkeys(texts))[:count]
    moments = sorted(rng.random() * min(age, _LONGEST_DIALOGUE) * 0.9 for _ in texts)
    thanks, explanations = rng.sample(THANKS, len(THANKS)), rng.sample(EXPLANATIONS, len(EXPLANATIONS))
    comments: list[PlannedComment] = []
    for text, moment in zip(texts, moments, strict=True):
        speaker = rng.choice(audience)
        if rng.random() < 0.18:
            text = rng.choice(POINTING).format(rng.choice(sorted(set(audience) - {speaker})))  # noqa: PLW2901
        comments.append(PlannedComment(speaker, text, moment, _pick_likers(rng, audience, speaker)))
        if rng.random() < 0.3:
            answer = (explanations if text.endswith("?") else thanks).pop()
            comments.append(
                PlannedComment(author, answer, moment * 1.08, _pick_likers(rng, [speaker]), len(comments) - 1)
            )
    return tuple(comments)


def _pick_likers(rng: Random, names: list[str], but: str = "") -> tuple[str, ...]:
    return tuple(name for name in names if name != but and rng.random() < 0.13)


assert sorted(_AUTHOR_OF) == list(range(POSTS)) and set(_AUTHORS) == {person.username for person in PEOPLE}  # noqa: S101, PT018
