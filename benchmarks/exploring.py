"""What explore and suggested posts gain against the newest posts: `python -m benchmarks.exploring`. CPU only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from random import Random
from typing import Annotated

import typer
from bson import ObjectId

from benchmarks.lib.report import Table, show
from benchmarks.lib.strangers import Shown, Viewer, strangers, viewers
from benchmarks.lib.tastes import NOW
from domain.exploring import explore_order, explore_score
from domain.feed_ranking import Candidate
from domain.limits import EXPLORE_MAX, PAGE_SIZE_DEFAULT, SUGGESTED_MAX
from domain.suggesting import hashtag_strengths, suggest_posts

EXPLORED = 200  # posts of explore that suggestions are taken from, as in `resolvers/feed_suggested.py`


@dataclass(frozen=True)
class World:
    """Posts and viewers, and the orders that are the same for everybody."""

    posts: Sequence[Shown]
    people: Sequence[Viewer]

    @classmethod
    def of(cls, seed: int, *, people: int, authors: int) -> "World":
        """A world that depends on its arguments alone."""
        dice = Random(seed)
        posts = strangers(dice, authors)
        return cls(posts, viewers(dice, posts, people))

    @cached_property
    def by_id(self) -> dict[ObjectId, Shown]:
        return {shown.post.id: shown for shown in self.posts}

    @cached_property
    def newest(self) -> Sequence[Candidate]:
        return sorted((shown.post for shown in self.posts), key=lambda post: post.created_at, reverse=True)

    @cached_property
    def most_liked(self) -> Sequence[Candidate]:
        return sorted((shown.post for shown in self.posts), key=lambda post: post.like_count, reverse=True)

    @cached_property
    def explored(self) -> Sequence[Candidate]:
        return explore_order(
            ((explore_score(each.post, each.share, int(each.author.audience), NOW), each.post) for each in self.posts),
            EXPLORE_MAX,
        )

    def suggested(self, viewer: Viewer) -> Sequence[Candidate]:
        """As the ranked feed goes on."""
        feed = [shown.post for shown in self.posts if shown.author.id in viewer.followed]
        placed = [
            (place, post)
            for place, post in enumerate(self.explored[:EXPLORED])
            if post.author_id not in viewer.followed
        ]
        return suggest_posts(placed, viewer.strengths, hashtag_strengths(feed, viewer.strengths), SUGGESTED_MAX)

    def gain(self, order: "Order") -> tuple[float, float]:
        """The share of the first page that viewers are expected to like, and the share of it with bought likes.

        Posts of those whom a viewer follows are left out.
        """
        liked, bought, size = 0.0, 0, PAGE_SIZE_DEFAULT
        for viewer in self.people:
            ordered = (self.by_id[post.id] for post in order(self, viewer))
            page = list(islice((shown for shown in ordered if shown.author.id not in viewer.followed), size))
            liked += sum(map(viewer.chance, page)) / size
            bought += sum(shown.author.is_cheat for shown in page)
        return liked / len(self.people), bought / len(self.people) / size


Order = Callable[[World, Viewer], Sequence[Candidate]]
NEWEST, LIKED, EXPLORE, SUGGESTED, TRUTH = (
    "the newest first",
    "the most liked first",
    "explore",
    "suggested",
    "by the truth itself",
)
ORDERS: Mapping[str, Order] = {
    NEWEST: lambda world, _: world.newest,
    LIKED: lambda world, _: world.most_liked,
    EXPLORE: lambda world, _: world.explored,
    SUGGESTED: lambda world, viewer: world.suggested(viewer),
    TRUTH: lambda world, viewer: [each.post for each in sorted(world.posts, key=viewer.chance, reverse=True)],
}


def main(
    people: Annotated[int, typer.Option(min=1, help="Simulated viewers.")] = 100,
    authors: Annotated[int, typer.Option(min=50, help="Simulated authors.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Who likes what.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Orders posts of strangers for simulated viewers of known tastes."""
    world = World.of(seed, people=people, authors=authors)
    posts = f"{len(world.posts)} posts by {authors} strangers"
    table = Table(
        f"The first {PAGE_SIZE_DEFAULT} of {posts}, {people} viewers, seed {seed}",
        ["order", "precision at 20", "against the newest", "with bought likes"],
    )
    base, _ = world.gain(ORDERS[NEWEST])
    for name, order in ORDERS.items():
        liked, bought = world.gain(order)
        table.rows.append([name, f"{liked:.3f}", f"{liked / base:.2f} x", f"{bought:.0%}"])
    show([table], [], markdown=markdown)


if __name__ == "__main__":
    typer.run(main)
