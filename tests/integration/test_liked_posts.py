"""`Viewer.likedPosts`: what the viewer likes, of what they may see."""

from typing import Any

from domain.ids import to_global_id
from domain.paging import PageRequest
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, items_of, now

LIKED = """query ($first: Int, $after: String, $last: Int, $before: String) {
  viewer { likedPosts(first: $first, after: $after, last: $last, before: $before) {
    edges { node { id viewerHasLiked } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } }
}"""


async def liked(world: World, viewer: UserRecord, **page: Any) -> Any:
    result = await world.execute(LIKED, viewer, **page)
    assert result.errors is None, result.errors
    return (result.data or {})["viewer"]["likedPosts"]


def ids(page: Any) -> list[str]:
    assert all(edge["node"]["viewerHasLiked"] for edge in page["edges"])
    return [edge["node"]["id"] for edge in page["edges"]]


def gids(posts: list[PostRecord]) -> list[str]:
    return [to_global_id("Post", post.id) for post in posts]


async def test_the_list_is_paged_both_ways_and_leaves_out_what_is_not_visible(world: World) -> None:
    ana, bob, eve = await world.users(3)
    posts = [await world.post(author) for author in (ana, eve, ana, eve, ana)]
    for post in posts:
        await world.sources.post_likes.like(post.id, bob.id, now())
    await world.sources.post_likes.like(posts[0].id, eve.id, now())
    newest_first = posts[::-1]
    page = await liked(world, bob, first=2)
    assert (ids(page), page["pageInfo"]["hasNextPage"]) == (gids(newest_first[:2]), True)
    rest = await liked(world, bob, first=5, after=page["pageInfo"]["endCursor"])
    assert (ids(rest), rest["pageInfo"]["hasNextPage"]) == (gids(newest_first[2:]), False)
    last = await liked(world, bob, last=2)
    assert (ids(last), last["pageInfo"]["hasPreviousPage"]) == (gids(newest_first[3:]), True)
    assert ids(await liked(world, bob, last=5, before=last["pageInfo"]["startCursor"])) == gids(newest_first[:3])
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    assert ids(await liked(world, bob, first=2)) == gids([posts[3], posts[1]])
    await world.sources.post_likes.unlike(posts[3].id, bob.id, now())
    assert ids(await liked(world, bob)) == gids([posts[1]])
    await world.sources.blocks.unblock(ana.id, bob.id, now=now())
    assert ids(await liked(world, bob)) == gids([posts[4], posts[2], posts[1], posts[0]])
    assert ids(await liked(world, eve)) == gids([posts[0]])
    assert ids(await liked(world, ana)) == []


async def test_a_page_reads_an_index_and_only_its_own_rows(world: World) -> None:
    ana, bob = await world.users(2)
    for _ in range(6):
        await world.sources.post_likes.like((await world.post(ana)).id, bob.id, now())
    request = PageRequest(limit=2)
    assert len(items_of(await world.sources.post_likes.liked_by(bob.id, request))) == 2
    find = {"find": "post_likes", "filter": {"user_id": bob.id, "liked": True}, "sort": {"_id": -1}, "limit": 3}
    plan = await world.sources.database.command(
        "explain", {**find, "hint": "user_id_1__id_-1"}, verbosity="executionStats"
    )
    assert "'SORT'" not in str(plan["queryPlanner"]["winningPlan"])
    assert plan["executionStats"]["totalDocsExamined"] == 3
