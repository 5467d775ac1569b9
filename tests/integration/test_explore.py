"""explore and trendingHashtags: what a snapshot has, reading it while the world moves on, and who may see what."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from datasources.discovery import holds as holds_module
from deploy.cli.holds import run_hold, run_holds
from deploy.local.errors import StartError
from domain import exploring as exploring_module
from domain.errors import RequestError
from domain.exploring import NEW_ACCOUNT
from domain.ids import to_global_id
from domain.limits import EXPLORE_KEPT
from domain.paging import Place, decode_cursor, encode_cursor
from domain.records.discovery import HeldKind
from domain.records.posts import PostRecord
from domain.records.users import AccountStanding, UserRecord
from domain.topics import hashtag_id
from domain.trending import PAST
from resolvers.transport.errors import root_cause
from tests.support.factories import World, now
from workers.exploring import recompute as recompute_module
from workers.exploring.recompute import recompute

EXPLORE = """query ($first: Int, $after: String, $last: Int, $before: String) {
  explore(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
TRENDING = "query ($first: Int) { trendingHashtags(first: $first) { name postCount } }"


async def page(world: World, viewer: UserRecord | None = None, **given: Any) -> dict[str, Any]:
    result = await world.execute(EXPLORE, viewer, **given)
    assert result.errors is None, result.errors
    assert result.data is not None
    return dict(result.data["explore"])


async def shown(world: World, viewer: UserRecord | None = None) -> list[str]:
    return [edge["node"]["id"] for edge in (await page(world, viewer, first=50))["edges"]]


async def code(world: World, **given: Any) -> str:
    """The code with which a page is refused."""
    result = await world.execute(EXPLORE, None, **given)
    assert result.data == {"explore": None}
    (error,) = result.errors or []
    cause = root_cause(error)
    assert isinstance(cause, RequestError)
    return cause.code.value


async def trending(world: World, **given: Any) -> list[str]:
    result = await world.execute(TRENDING, None, **given)
    assert result.errors is None, result.errors
    assert result.data is not None
    return [each["name"] for each in result.data["trendingHashtags"]]


async def people(world: World, count: int, *, age: timedelta = timedelta(days=30)) -> list[UserRecord]:
    """Accounts that were made a while ago."""
    users = await world.users(count)
    made = {"$set": {"created_at": now() - age}}
    await world.sources.database["users"].update_many({"_id": {"$in": [user.id for user in users]}}, made)
    await world.sources.caches.users.invalidate([user.id for user in users])
    return users


async def like(world: World, post: PostRecord, likers: Sequence[UserRecord]) -> None:
    for liker in likers:
        await world.sources.post_likes.like(post.id, liker.id, now())
    await world.drain()


def gids(*posts: PostRecord) -> list[str]:
    return [to_global_id("Post", post.id) for post in posts]


async def test_what_people_like_comes_first_and_each_author_by_turns(own: World) -> None:
    authors, likers = await people(own, 3), await people(own, 4)
    first, second, third = [await own.post(author) for author in authors]
    again = await own.post(authors[0])
    await like(own, first, likers)
    await like(own, again, likers[:3])
    await like(own, second, likers[:1])
    assert await shown(own) == []
    await recompute(own.sources, now())
    assert await shown(own) == gids(first, second, third, again)
    assert await shown(own, likers[0]) == gids(first, second, third, again)


async def test_likes_that_were_made_to_order_lift_no_post(own: World) -> None:
    authors, honest = await people(own, 5), await people(own, 3)
    posts = [await own.post(author) for author in authors]
    liked, bought, by_itself, by_circle, limited = posts
    await like(own, liked, honest)
    await like(own, bought, await people(own, 10, age=NEW_ACCOUNT / 2))
    await like(own, by_itself, [authors[2]])
    for _ in range(5):
        await own.comment(by_itself, authors[2])
    circle = await people(own, 4)
    for friend in circle:
        await own.follow(authors[3], friend)
    await like(own, by_circle, circle)
    restricted = await people(own, 4)
    for user in restricted:
        await own.set_standing(user, AccountStanding.LIMITED)
    await like(own, limited, restricted)
    await recompute(own.sources, now())
    order = await shown(own)
    assert order[:2] == gids(liked, by_circle)
    # The rest is as without any like: the newest first.
    assert order[2:] == gids(limited, by_itself, bought)


async def test_new_accounts_that_like_a_post_push_it_out_no_more_than_they_lift_one(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exploring_module, "MAX_EVIDENCE", 3)
    monkeypatch.setattr(recompute_module, "MAX_EVIDENCE", 3)
    authors, honest, fresh = await people(own, 3), await people(own, 4), await people(own, 6, age=NEW_ACCOUNT / 2)
    attacked, bought, plain = [await own.post(author) for author in authors]
    await like(own, attacked, honest)
    await like(own, attacked, fresh[:3])
    await like(own, bought, fresh)
    await like(own, plain, honest[:1])
    await recompute(own.sources, now())
    assert await shown(own) == gids(attacked, plain, bought)


async def test_what_is_not_for_everybody_is_in_no_snapshot(own: World) -> None:
    (ana,) = await people(own, 1)
    seen = await own.post(ana)
    private, limited, unfound = await own.user(is_private=True), await own.user(), await own.user()
    await own.post(unfound)
    await own.sources.account.preferences.set_in_search(unfound.id, False)
    await own.post(private)
    await own.post(limited)
    await own.set_standing(limited, AccountStanding.LIMITED)
    await own.draft(ana)
    sensitive, deleted, old = [await own.post(ana) for _ in range(3)]
    posts = own.sources.database["posts"]
    await posts.update_one({"_id": sensitive.id}, {"$set": {"is_sensitive": True}})
    await own.sources.posts.delete(deleted.id, ana.id, now())
    await posts.update_one({"_id": old.id}, {"$set": {"created_at": now() - timedelta(days=8)}})
    snapshot = await recompute(own.sources, now())
    assert snapshot.post_ids == [seen.id]


async def test_rules_are_those_of_the_moment_at_which_one_reads(own: World) -> None:
    authors, viewer = await people(own, 6), await own.user()
    posts = [await own.post(author) for author in authors]
    await own.drain()
    await recompute(own.sources, now())
    assert set(await shown(own, viewer)) == set(gids(*posts))
    kept, muted, blocked, blocking, private, _ = authors
    await own.sources.mutes.mute(viewer.id, muted.id)
    await own.sources.blocks.block(viewer.id, blocked.id, now=now())
    await own.sources.blocks.block(blocking.id, viewer.id, now=now())
    await own.sources.users.update_profile(private.id, {"is_private": True}, turns_to_public=3)
    await own.sources.posts.delete(posts[5].id, authors[5].id, now())
    assert await shown(own, viewer) == gids(posts[0])
    assert kept.id == posts[0].author_id
    assert set(await shown(own)) == set(gids(*posts[:4]))
    await own.set_standing(muted, AccountStanding.LIMITED)
    assert set(await shown(own)) == set(gids(posts[0], *posts[2:4]))
    await own.sources.account.preferences.set_in_search(blocked.id, False)
    assert set(await shown(own)) == set(gids(posts[0], posts[3]))
    labelled = {"$set": {"is_sensitive": True}}
    await own.sources.database["posts"].update_one({"_id": posts[0].id}, labelled)
    await own.sources.caches.posts.invalidate([posts[0].id])
    assert await shown(own, viewer) == []


@pytest.mark.parametrize("size", [1, 4, 50])
async def test_a_snapshot_is_read_to_its_end_while_newer_ones_are_made(own: World, size: int) -> None:
    posts = [await own.post(author) for author in await people(own, 9)]
    await own.drain()
    snapshot = await recompute(own.sources, now())
    order = [to_global_id("Post", post_id) for post_id in snapshot.post_ids]
    assert set(order) == set(gids(*posts))
    seen, given = list[str](), dict[str, Any]()
    while True:
        read = await page(own, None, first=size, **given)
        seen += [edge["node"]["id"] for edge in read["edges"]]
        given = {"after": read["pageInfo"]["endCursor"]}
        for author in await people(own, 1):
            await own.post(author)
        await recompute(own.sources, now())
        if not read["pageInfo"]["hasNextPage"]:
            break
    assert seen == order
    back = await page(own, None, last=50, before=given["after"])
    assert [edge["node"]["id"] for edge in back["edges"]] == order[:-1]
    assert len(await shown(own)) > len(order)


async def test_cursors_of_other_lists_are_refused_and_old_ones_expire(own: World) -> None:
    await own.post((await people(own, 1))[0])
    await recompute(own.sources, now())
    (edge,) = (await page(own, None, first=1))["edges"]
    place = decode_cursor(edge["cursor"])
    assert isinstance(place, Place)
    assert await code(own, after=encode_cursor(ObjectId())) == "BAD_USER_INPUT"
    assert await code(own, after=encode_cursor(place._replace(owner_id=ObjectId()))) == "BAD_USER_INPUT"
    other = encode_cursor(place._replace(snapshot_id=ObjectId()))
    assert await code(own, after=edge["cursor"], before=other) == "BAD_USER_INPUT"
    assert await code(own, after=other) == "CURSOR_EXPIRED"


async def test_all_but_the_latest_snapshot_expire(own: World) -> None:
    stored = own.sources.database["explore_snapshots"]
    made = [await own.sources.discovery.snapshots.add([], [], now()) for _ in range(3)]
    rows = {row["_id"]: row.get("expires_at") async for row in stored.find()}
    latest = max(each.id for each in made)
    assert rows.pop(latest) is None
    for expires_at in rows.values():
        assert expires_at is not None
        assert timedelta() < expires_at - now() <= EXPLORE_KEPT
    (found,) = [each for each in [await own.sources.discovery.snapshots.latest()] if each is not None]
    assert found.id == latest


async def test_what_moderators_hold_out_is_gone_at_once_and_comes_back(own: World) -> None:
    authors = await people(own, 4)
    tagged = [await own.post(author, hashtags=["spam"]) for author in authors[:3]]
    plain = await own.post(authors[3])
    await own.drain()
    await recompute(own.sources, now())
    assert await trending(own) == ["spam"]
    settings, everything = own.sources.settings, set(gids(plain, *tagged))
    for thing, gone in (
        (gids(plain)[0], set(gids(plain))),
        (authors[0].username, set(gids(tagged[0]))),
        ("#Spam", set(gids(*tagged))),
    ):
        assert await run_hold(settings, thing, "bought likes", is_held=True) == 0
        assert set(await shown(own)) == everything - gone
        assert await trending(own) == ([] if thing == "#Spam" else ["spam"])
        again = await recompute(own.sources, now())
        assert {to_global_id("Post", post_id) for post_id in again.post_ids} == everything - gone
        assert await run_hold(settings, thing, "", is_held=False) == 0
        await recompute(own.sources, now())
        assert set(await shown(own)) == everything
    logged = await own.sources.discovery.holds.latest(10, released=True)
    assert [[(change.is_held, change.reason) for change in hold.log] for hold in logged] == [
        [(True, "bought likes"), (False, "")]
    ] * 3
    await own.sources.posts.delete(plain.id, authors[3].id, now())
    await own.drain()
    assert await own.sources.database["discovery_holds"].count_documents({"_id": plain.id}) == 0


async def test_what_is_held_out_is_asked_in_pieces(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds_module, "IDS_AT_ONCE", 3)
    ids, holds = [ObjectId() for _ in range(10)], own.sources.discovery.holds
    for target_id in ids[::4]:
        await holds.put(target_id, HeldKind.POST, "a post", is_held=True, reason="", now=now())
    await own.sources.database.command("profile", 2)
    assert await holds.held_among(ids) == set(ids[::4])
    assert await holds.held_among([]) == set()
    await own.sources.database.command("profile", 0)
    reads = await own.sources.database["system.profile"].find({"command.find": "discovery_holds"}).to_list()
    assert sorted(len(read["command"]["filter"]["_id"]["$in"]) for read in reads) == [1, 3, 3, 3]


async def test_operators_see_what_is_held_out_and_wrong_words_are_one_line(
    own: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (ana,) = await people(own, 1)
    assert await run_hold(own.sources.settings, ana.username, "a circle", is_held=True) == 0
    assert capsys.readouterr().out == f"{ana.username} is held out of explore\n"
    for released, listed in ((False, True), (True, False)):
        assert await run_holds(own.sources.settings, 10, released=released, as_json=False) == 0
        assert (f"USER  {ana.username}  a circle" in capsys.readouterr().out) is listed
    assert await run_holds(own.sources.settings, 10, released=False, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["log"][0]["reason"] == "a circle"
    for wrong in ("nobody.here", "#!", to_global_id("Post", ana.id)):
        with pytest.raises(StartError):
            await run_hold(own.sources.settings, wrong, "", is_held=True)


async def test_hashtags_trend_that_rise_against_their_own_past(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    users, fresh = await people(own, 6), await people(own, 6, age=NEW_ACCOUNT / 2)
    for user in users[:4]:
        await own.post(user, hashtags=["rising", "usual"])
    for user in users[:3]:
        await own.post(user, hashtags=["smaller"])
    for user in fresh:
        await own.post(user, hashtags=["bought"])
    for _ in range(10):
        await own.post(users[0], hashtags=["alone"])
    hidden = await own.post(users[5], hashtags=["few"])
    await own.drain()
    past = [ObjectId.from_datetime(now() - timedelta(days=1.1) - PAST * number / 70) for number in range(60)]
    await own.sources.database["topic_posts"].insert_many(
        [{"topic_id": hashtag_id("usual"), "post_id": post_id, "listed": True, "counted": True} for post_id in past]
    )
    await recompute(own.sources, now())
    assert await trending(own) == ["rising", "smaller"]
    assert await trending(own, first=1) == ["rising"]
    # Also one whose past has more uses than are counted.
    monkeypatch.setattr(recompute_module, "USES_COUNTED", 10)
    await recompute(own.sources, now())
    assert await trending(own) == ["rising", "smaller"]
    assert hidden.id is not None


async def test_what_cannot_be_read_does_not_hide_that_reading_stopped(own: World) -> None:
    posts = [await own.post(author) for author in await people(own, 3)]
    await own.sources.database["posts"].update_one({"_id": posts[2].id}, {"$set": {"hashtags": 5}})
    for limit, found, is_cut in ((2, posts[1:2], True), (4, posts[1::-1], False)):
        read, stopped = await own.sources.discovery.activity.posts(now() - timedelta(days=1), limit)
        assert ([post.id for post in read], stopped) == ([post.id for post in found], is_cut)


async def test_a_recompute_reads_a_bounded_number_of_documents_by_indexes(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in (("POSTS_READ", 5), ("LIKES_READ", 4), ("COMMENTS_READ", 3)):
        monkeypatch.setattr(recompute_module, name, bound)
    authors, likers = await people(own, 8), await people(own, 4)
    posts = [await own.post(author, hashtags=["sea"]) for author in authors]
    for post in posts[:3]:
        await like(own, post, likers)
    await like(own, posts[0], likers[:3])
    database = own.sources.database
    await database.command("profile", 2)
    snapshot = await recompute(own.sources, now())
    await database.command("profile", 0)
    assert set(snapshot.post_ids) >= {post.id for post in posts[-5:]}
    reads = await database["system.profile"].find({"op": {"$in": ["query", "command"]}}).to_list()
    first_likes = 2 * 4  # of the posts whose likes are not among the newest four
    about = {
        "post_likes": 4 + first_likes,
        "comments": 3,
        "topic_posts": 20,
        "posts": 5 + 3,
        "users": 100,
        "follows": 100,
    }
    examined = dict.fromkeys(about, 0)
    for read in reads:
        command = read["command"]
        name = command.get("find") or command.get("aggregate") or command.get("count")
        if name in examined:
            assert "COLLSCAN" not in read["planSummary"], read
            assert not read.get("hasSortStage"), read
            examined[name] += read["docsExamined"]
    assert all(examined[name] <= bound for name, bound in about.items()), examined
