"""Finding posts by their words: which, in which order, page by page, for whom, and for whom not."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId

from datasources.discovery import caption_search
from datasources.moderation.deciding import Ruling
from domain.errors import BadInput
from domain.ids import to_global_id
from domain.paging import Match, PageRequest, encode_cursor
from domain.records.moderation import ModerationAction, ReportTargetType, Target
from domain.records.posts import PostRecord
from domain.records.users import AccountStanding, UserRecord
from tests.support.factories import World, items_of, now
from tests.support.maintenance import find_faults
from workers.maintenance.repair import repair
from workers.maintenance.walk import Walk

SEARCH = """query ($text: String!, $first: Int, $after: String) {
  search(query: $text, kind: POSTS, first: $first, after: $after) {
    edges { cursor node { ... on Post { id } } } pageInfo { hasNextPage endCursor }
  }
}"""
PREFER = "mutation ($to: Boolean!) { updatePreferences(input: {isInSearch: $to}) { userErrors { code } } }"


async def found(world: World, text: str, viewer: UserRecord | None = None, *, first: int = 20) -> list[str]:
    """The global ids of the posts on all pages."""
    ids, after = list[str](), None
    for _ in range(200):
        result = await world.execute(SEARCH, viewer, text=text, first=first, after=after)
        assert result.errors is None, result.errors
        assert result.data is not None
        got = result.data["search"]
        ids += [edge["node"]["id"] for edge in got["edges"]]
        if not got["pageInfo"]["hasNextPage"]:
            return ids
        after = got["pageInfo"]["endCursor"]
    raise AssertionError("it has no end")


def gids(*posts: PostRecord) -> list[str]:
    return [to_global_id("Post", post.id) for post in posts]


async def faults(world: World) -> set[str]:
    """What is wrong, but for the files that posts of these tests lack."""
    return {finding.kind for finding in await find_faults(world)} - {"post.images"}


async def test_posts_are_found_by_all_words_newest_first_on_pages_of_any_size(own: World) -> None:
    ana, bob = await own.users(2)
    captions = ["Sunny beaches", "A beach at night", "Mountains", "Night on the sunny beach", "Beach, sunny and bright"]
    posts = [await own.post(ana, caption=caption) for caption in captions]
    await own.drain()
    for viewer in (None, ana, bob):
        for size in (1, 2, 20):
            assert await found(own, "beach", viewer, first=size) == gids(posts[4], posts[3], posts[1], posts[0])
            assert await found(own, "sunny beaches", viewer, first=size) == gids(posts[4], posts[3], posts[0])
        assert await found(own, "mountain night", viewer) == await found(own, "...", viewer) == []
    assert await faults(own) == set()


async def test_own_posts_are_found_by_their_author_alone_while_others_may_not_see_them(own: World) -> None:
    ana, bob, fan = await own.user(is_private=True), await own.user(), await own.user()
    await own.follow(fan, ana)
    await own.sources.follows.accept(fan.id, ana.id, now=now())
    hidden, shown = await own.post(ana, caption="My secret beach"), await own.post(bob, caption="The open beach")
    later = await own.post(ana, caption="Another beach")
    await own.drain()
    for viewer in (None, bob, fan):
        assert await found(own, "beach", viewer) == gids(shown)
    for size in (1, 2, 3):
        assert await found(own, "beach", ana, first=size) == gids(later, shown, hidden)
    assert await found(own, "secret beach", ana) == gids(hidden)


async def test_language_of_the_account_decides_which_forms_are_found(own: World) -> None:
    ana, bob = await own.users(2)
    for user in (ana, bob):
        await own.sources.users.update_profile(user.id, {"language": "es-mx"})
    post = await own.post(ana, caption="Montañas bonitas")
    await own.drain()
    assert await found(own, "montañas") == await found(own, "montaña bonita", bob) == gids(post)
    await own.sources.users.update_profile(ana.id, {"language": "de"})
    assert await faults(own) == set()
    assert await found(own, "montaña bonita", bob) == gids(post)


Change = Callable[[World, PostRecord, UserRecord], Awaitable[Any]]


async def edit(world: World, post: PostRecord, author: UserRecord) -> None:
    await world.sources.posts.update(post.id, author.id, {"caption": "x", "hashtags": [], "mention_ids": []}, now())


async def edit_back(world: World, post: PostRecord, author: UserRecord) -> None:
    changes = {"caption": post.caption, "hashtags": [], "mention_ids": []}
    await world.sources.posts.update(post.id, author.id, changes, now())


async def go_private(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.sources.users.update_profile(author.id, {"is_private": True})


async def go_public(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.sources.users.update_profile(author.id, {"is_private": False})


async def deactivate(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.sources.account.deactivation.deactivate(author.id, now(), session_id=ObjectId())


async def reactivate(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.sources.account.deactivation.reactivate(author.id, now())


async def suspend(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.set_standing(author, AccountStanding.SUSPENDED)


async def restore(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.set_standing(author, AccountStanding.GOOD)


async def opt_out(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.execute(PREFER, author, to=False)


async def opt_in(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.execute(PREFER, author, to=True)


def decide(action: ModerationAction) -> Change:
    async def run(world: World, post: PostRecord, author: UserRecord) -> None:
        target = Target(id=post.id, type=ReportTargetType.POST, subject_id=author.id)
        await world.sources.moderation.deciding.decide(Ruling(target=target, action=action, statement="no"), now())

    return run


LEAVING: dict[str, tuple[Change, Change, bool]] = {  # and whether its author finds it meanwhile
    "edited": (edit, edit_back, False),
    "private": (go_private, go_public, True),
    "deactivated": (deactivate, reactivate, False),
    "suspended": (suspend, restore, True),
    "opted out": (opt_out, opt_in, True),
    "hidden": (decide(ModerationAction.HIDE), decide(ModerationAction.RESTORE), True),
}


@pytest.mark.parametrize(("leave", "come_back", "is_own"), LEAVING.values(), ids=LEAVING)
async def test_a_post_disappears_and_comes_back(world: World, leave: Change, come_back: Change, is_own: bool) -> None:
    word, (ana, bob) = f"word{ObjectId()}", await world.users(2)
    post = await world.post(ana, caption=f"Only {word}")
    await world.drain()
    assert await found(world, word, bob) == gids(post)
    await leave(world, post, ana)
    if leave is not edit:
        assert await found(world, word, bob) == []
    await world.drain()
    assert await found(world, word, bob) == await found(world, word) == []
    assert await found(world, word, await world.stored_user(ana.id)) == (gids(post) if is_own else [])
    await come_back(world, post, ana)
    await world.drain()
    assert await found(world, word, bob) == await found(world, word, ana) == gids(post)


async def test_blocks_and_mutes_hide_at_once_and_nothing_stays_of_what_is_deleted(world: World) -> None:
    word, (ana, bob, eve) = f"word{ObjectId()}", await world.users(3)
    post, other = await world.post(ana, caption=word), await world.post(bob, caption=word)
    await world.drain()
    await world.sources.blocks.block(ana.id, eve.id, now=now())
    await world.sources.mutes.mute(eve.id, bob.id)
    assert await found(world, word, eve) == []
    assert await found(world, word, bob) == gids(other, post)
    await world.sources.posts.delete(post.id, ana.id, now())
    assert await found(world, word, bob) == gids(other)
    await world.sources.users.delete(bob.id, now())
    assert await found(world, word) == []
    await world.drain()
    assert await world.sources.database["caption_terms"].count_documents({"terms": word.lower()}) == 0


async def test_posts_of_a_version_before_are_found_once_repaired(own: World) -> None:
    ana = await own.user()
    post = await own.post(ana, caption="A beach")
    await own.drain()
    entries = own.sources.database["caption_terms"]
    await entries.delete_many({})
    await entries.insert_one(
        {"_id": ObjectId(), "author_id": ana.id, "is_open": True, "language": "en", "terms": ["x"]}
    )
    assert await faults(own) == {"post.caption_terms", "caption_terms.post_id"}
    await repair(own.tools, Walk(sources=own.sources))
    await own.drain()
    assert await found(own, "beach") == gids(post)
    assert await faults(own) == set()


async def test_a_cursor_of_another_list_is_refused(world: World) -> None:
    result = await world.execute(SEARCH, None, text="beach", after=encode_cursor(Match(2, 1, "beach", ObjectId())))
    assert [type(error.original_error) for error in result.errors or ()] == [BadInput]


async def test_pages_go_through_all_posts_with_bounded_reads(
    own: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against what a scan of everything finds; each step reads `SCANNED` entries, or a page, of an index."""
    monkeypatch.setattr(caption_search, "SCANNED", 7)
    chance, me = random.Random(seed), ObjectId()
    rows: list[dict[str, Any]] = [
        {
            "_id": ObjectId(),
            "author_id": me if chance.random() < 0.2 else ObjectId(),
            "is_open": chance.random() < 0.7,
            "language": "en",
            "terms": ["all", *chance.sample(["one", "two", "three", "four"], 2)],
        }
        for _ in range(300)
    ]
    await own.sources.database["caption_terms"].insert_many(rows)
    for viewer_id in (None, me):
        for words in ([("all",)], [("all", "x")], [("one", "two")], [("all",), ("one",)], [("one",), ("two", "three")]):
            expected = [
                row["_id"]
                for row in sorted(rows, key=lambda row: row["_id"], reverse=True)
                if (row["is_open"] or row["author_id"] == viewer_id)
                and all(set(word) & set(row["terms"]) for word in words)
            ]
            for size in (1, 4, 50):
                request, seen = PageRequest(limit=size), list[ObjectId]()
                for _ in range(500):
                    page = await own.sources.discovery.captions.found(words, viewer_id, request)
                    seen += [each for each in items_of(page) if each is not None]
                    assert len(page.items) <= size
                    if not page.has_next:
                        break
                    request = PageRequest(limit=size, after=page.end)
                assert seen == expected


async def test_a_page_is_a_bounded_walk_of_an_index(own: World) -> None:
    rows: list[dict[str, Any]] = [
        {
            "author_id": ObjectId(),
            "is_open": number % 2 == 0,
            "language": "en",
            "terms": ["beaches", "beach", f"w{number}"],
        }
        for number in range(3_000)
    ]
    await own.sources.database["caption_terms"].insert_many(rows)
    await own.sources.database.command("profile", 2)
    await own.sources.discovery.captions.found([("beaches", "beach")], ObjectId(), PageRequest(limit=20))
    words = await own.sources.discovery.captions.rarest_first([("beach",), ("beaches",)])
    await own.sources.discovery.captions.found(words, None, PageRequest(limit=20))
    await own.sources.database.command("profile", 0)
    reads = await own.sources.database["system.profile"].find({"command.aggregate": "caption_terms"}).to_list()
    assert len(reads) == 5
    for read in reads:
        limit = next((stage["$limit"] for stage in read["command"]["pipeline"] if "$limit" in stage), 0)
        assert "IXSCAN" in read["planSummary"], read
        assert not read.get("hasSortStage"), read
        assert read["keysExamined"] <= 2 * limit + 2, read
        is_count = any("$group" in stage for stage in read["command"]["pipeline"])
        assert read["docsExamined"] <= (0 if is_count else limit), read


async def test_words_are_counted_once_for_a_page(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = await own.user(is_private=True)
    for _ in range(9):
        await own.post(ana, caption="sunny beach")
    await own.drain()
    monkeypatch.setattr(caption_search, "SCANNED", 2)
    await own.sources.database["caption_terms"].update_many({}, {"$set": {"is_open": True}})
    counted, count = list[Any](), caption_search.CaptionSearch._count

    async def counting(search: caption_search.CaptionSearch, word: caption_search.Word) -> int:
        counted.append(word)
        return await count(search, word)

    monkeypatch.setattr(caption_search.CaptionSearch, "_count", counting)
    assert await found(own, "sunny beach") == []
    assert len(counted) == 2
