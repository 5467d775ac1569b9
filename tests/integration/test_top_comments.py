"""A post's comments in the order of their likes: paged in both directions by key, at a cost that ties do not raise."""

import random

import pytest
from bson import ObjectId

from domain.errors import BadInput
from domain.ids import to_global_id
from domain.paging import Page, PageRequest, Ranked, encode_cursor
from domain.records.comments import CommentOrder
from domain.records.posts import PostRecord
from tests.support.factories import World, items_of

LIKES = [0, 3, 0, 1, 3, 3, 0, 0, 7, 1, 0, 3]
BELOW = """query ($id: ID!, $after: String, $before: String, $first: Int, $last: Int) {
  node(id: $id) { ... on Post {
    comments(order: TOP, first: $first, after: $after, last: $last, before: $before) {
      pageInfo { endCursor hasNextPage } edges { cursor node { text likeCount } }
    }
  } }
}"""


async def liked_comments(world: World, likes: list[int]) -> tuple[PostRecord, list[ObjectId]]:
    """A post whose comments have these like counts, and the ids of the comments in `TOP` order."""
    ana = await world.user()
    post = await world.post(ana)
    added = [(await world.comment(post, ana, f"{count} likes")).id for count in likes]
    for comment_id, count in zip(added, likes, strict=True):
        await world.sources.database["comments"].update_one({"_id": comment_id}, {"$set": {"like_count": count}})
    ranked = sorted(zip(likes, added, strict=True), reverse=True)
    return post, [comment_id for _, comment_id in ranked]


async def top_page(world: World, post: PostRecord, **arguments: object) -> Page[ObjectId]:
    """A page of a post's top comments."""
    request = PageRequest.of(**arguments)  # type: ignore[arg-type]
    return await world.sources.comments.of_post(post.id, request, CommentOrder.TOP)


@pytest.mark.parametrize("size", [1, 2, 5, 12, 50])
async def test_pages_in_both_directions_give_every_top_comment_once(world: World, size: int) -> None:
    post, expected = await liked_comments(world, LIKES)
    forward: list[ObjectId] = []
    cursor: str | None = None
    while True:
        page = await top_page(world, post, first=size, after=cursor)
        forward += items_of(page)
        if not page.has_next:
            break
        cursor = encode_cursor(page.items[-1][0])
    backward: list[ObjectId] = []
    cursor = None
    while True:
        page = await top_page(world, post, last=size, before=cursor)
        backward = items_of(page) + backward
        if not page.has_previous:
            break
        cursor = encode_cursor(page.items[0][0])
    assert forward == backward == expected


async def test_a_page_between_two_cursors_is_complete(world: World) -> None:
    post, expected = await liked_comments(world, LIKES)
    keys = [key for key, _ in (await top_page(world, post, first=50)).items]
    for _ in range(30):
        start, end = random.choices(range(len(keys)), k=2)
        bounds = {"after": encode_cursor(keys[start]), "before": encode_cursor(keys[end])}
        assert items_of(await top_page(world, post, first=50, **bounds)) == expected[start + 1 : end]


async def test_a_cursor_of_one_order_is_refused_by_the_other(world: World) -> None:
    post, _ = await liked_comments(world, [1])
    newest = encode_cursor(ObjectId())
    with pytest.raises(BadInput, match="order"):
        await top_page(world, post, first=1, after=newest)
    ranked = encode_cursor(Ranked(3, ObjectId()))
    with pytest.raises(BadInput, match="order"):
        await world.sources.comments.of_post(post.id, PageRequest.of(first=1, after=ranked))


@pytest.mark.parametrize("order", list(CommentOrder))
async def test_a_page_among_hundreds_of_ties_examines_no_more_than_it_shows(world: World, order: CommentOrder) -> None:
    post, ranked = await liked_comments(world, [0] * 400 + [1] * 400)
    expected = ranked if order is CommentOrder.TOP else sorted(ranked, reverse=True)
    key = Ranked(1, expected[395]) if order is CommentOrder.TOP else expected[395]
    forward, backward = PageRequest(limit=20, after=key), PageRequest(limit=20, before=key, backward=True)
    database = world.sources.database
    await database.command("profile", 2)
    pages = [await world.sources.comments.of_post(post.id, request, order) for request in (forward, backward)]
    await database.command("profile", 0)
    assert [items_of(page) for page in pages] == [expected[396:416], expected[375:395]]
    finds = await database["system.profile"].find({"command.find": "comments"}).to_list()
    await database["system.profile"].drop()
    assert sum(find["docsExamined"] for find in finds) <= 2 * 21
    assert sum(find["keysExamined"] for find in finds) <= 2 * 25


async def test_top_comments_through_graphql(world: World) -> None:
    post, _ = await liked_comments(world, [1, 5, 5])
    first = await world.execute(BELOW, None, id=to_global_id("Post", post.id), first=2)
    assert first.errors is None
    assert first.data is not None
    connection = first.data["node"]["comments"]
    assert [edge["node"]["text"] for edge in connection["edges"]] == ["5 likes", "5 likes"]
    assert connection["pageInfo"]["hasNextPage"] is True
    cursor = connection["pageInfo"]["endCursor"]
    rest = await world.execute(BELOW, None, id=to_global_id("Post", post.id), first=2, after=cursor)
    assert rest.data is not None
    assert [edge["node"]["likeCount"] for edge in rest.data["node"]["comments"]["edges"]] == [1]
    wrong = await world.execute(BELOW, None, id=to_global_id("Post", post.id), first=2, after=encode_cursor(post.id))
    assert wrong.errors is not None
    assert wrong.errors[0].message == "That is not a cursor of this list in this order."
