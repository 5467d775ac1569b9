"""Comments, replies, their counts and previews."""

import asyncio

import pytest
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency
from domain.errors import Refusal, UserErrorCode
from domain.ids import to_global_id
from domain.limits import PREVIEW_COMMENTS
from domain.paging import PageRequest, encode_cursor
from domain.records.comments import CommentRecord
from domain.records.moderation import ModerationAction
from domain.records.users import UserRecord
from tests.support.factories import World, items_of, now
from tests.support.moderating import decide


async def test_comments_are_counted_and_the_latest_shown_below_the_post(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    added = [await world.comment(post, bob, f"number {number}") for number in range(4)]
    await world.drain()
    stored_post = await world.stored_post(post.id)
    assert stored_post.comment_count == 4
    assert stored_post.preview_comment_ids == [comment.id for comment in added[::-1]][:PREVIEW_COMMENTS]


async def test_replies_count_for_the_post_and_for_their_comment_and_are_no_previews(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    parent = await world.comment(post, bob)
    for _ in range(3):
        await world.comment(post, ana, parent_id=parent.id)
    await world.drain()
    stored_post = await world.stored_post(post.id)
    assert (stored_post.comment_count, stored_post.preview_comment_ids) == (4, [parent.id])
    assert (await world.stored_comment(parent.id)).reply_count == 3


async def test_fifty_concurrent_duplicates_with_one_key_add_one_comment(world: World) -> None:
    ana, bob = await world.users(2)
    post, key = await world.post(ana), Idempotency.of("k", "addComment", {"text": "nice"})
    added = await asyncio.gather(*(world.comment(post, bob, idempotency=key) for _ in range(50)))
    assert len({comment.id for comment in added}) == 1
    await world.drain()
    assert (await world.stored_post(post.id)).comment_count == 1


async def test_a_key_with_other_input_is_an_error(world: World) -> None:
    ana = await world.user()
    post = await world.post(ana)
    await world.comment(post, ana, idempotency=Idempotency.of("k", "addComment", {"text": "a"}))
    with pytest.raises(Refusal) as refused:
        await world.comment(post, ana, idempotency=Idempotency.of("k", "addComment", {"text": "b"}))
    assert refused.value.code is UserErrorCode.IDEMPOTENCY_KEY_REUSED


async def test_a_deleted_comment_is_removed_with_its_replies_and_likes(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    kept, parent = await world.comment(post, ana), await world.comment(post, bob)
    reply = await world.comment(post, ana, parent_id=parent.id)
    await world.sources.comment_likes.like(parent.id, ana.id, now())
    await world.drain()
    for _ in range(2):
        await world.sources.comments.delete(parent.id, now())
    assert await world.drain() == set()
    stored_post = await world.stored_post(post.id)
    assert (stored_post.comment_count, stored_post.preview_comment_ids) == (1, [kept.id])
    database = world.sources.database
    assert await database["comments"].count_documents({"_id": {"$in": [parent.id, reply.id]}}) == 0
    assert await database["comment_likes"].count_documents({"target_id": parent.id}) == 0


async def test_a_deleted_reply_lowers_both_counts(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    parent = await world.comment(post, bob)
    reply = await world.comment(post, ana, parent_id=parent.id)
    await world.drain()
    await world.sources.comments.delete(reply.id, now())
    await world.drain()
    assert (await world.stored_post(post.id)).comment_count == 1
    assert (await world.stored_comment(parent.id)).reply_count == 0


async def test_a_storm_of_comments_and_deletions_is_counted_exactly(world: World) -> None:
    ana, people = await world.user(), await world.users(6)
    post = await world.post(ana)
    parent = await world.comment(post, ana)

    async def storm(number: int) -> None:
        for step in range(4):
            added = await world.comment(post, people[number], parent_id=parent.id if step % 2 else None)
            if step >= 2:
                await world.sources.comments.delete(added.id, now())

    await asyncio.gather(*(storm(number) for number in range(6)), *(world.drain() for _ in range(4)))
    await world.drain()
    stored_post = await world.stored_post(post.id)
    recount = await world.sources.database["comments"].count_documents({"post_id": post.id, "deleted": False})
    assert stored_post.comment_count == recount == 13
    assert (await world.stored_comment(parent.id)).reply_count == 6


async def test_comments_are_listed_newest_first_and_replies_oldest_first(world: World) -> None:
    ana = await world.user()
    post = await world.post(ana)
    first, second = await world.comment(post, ana), await world.comment(post, ana)
    replies = [await world.comment(post, ana, parent_id=first.id) for _ in range(3)]
    comments = world.sources.comments
    assert items_of(await comments.of_post(post.id, PageRequest(limit=9))) == [second.id, first.id]
    assert items_of(await comments.replies(first.id, PageRequest(limit=9))) == [reply.id for reply in replies]


async def test_replies_are_paged_in_both_directions(world: World) -> None:
    ana = await world.user()
    post = await world.post(ana)
    parent = await world.comment(post, ana)
    first, second, third = [(await world.comment(post, ana, parent_id=parent.id)).id for _ in range(3)]
    replies = world.sources.comments.replies
    page = await replies(parent.id, PageRequest.of(first=2))
    assert (items_of(page), page.has_next, page.has_previous) == ([first, second], True, False)
    page = await replies(parent.id, PageRequest.of(first=2, after=encode_cursor(second)))
    assert (items_of(page), page.has_next, page.has_previous) == ([third], False, True)
    page = await replies(parent.id, PageRequest.of(last=2))
    assert (items_of(page), page.has_next, page.has_previous) == ([second, third], False, True)
    page = await replies(parent.id, PageRequest.of(last=2, before=encode_cursor(second)))
    assert (items_of(page), page.has_next, page.has_previous) == ([first], True, False)


async def test_deleting_a_missing_comment_does_nothing(world: World) -> None:
    await world.sources.comments.delete(ObjectId(), now())


async def test_concurrent_comments_are_all_added_and_only_duplicates_of_a_key_are_one(world: World) -> None:
    ana, *fans = await world.users(21)
    post = await world.post(ana)
    key = Idempotency.of("twice", "addComment", {"text": "nice"})
    duplicates = (world.comment(post, fans[0], idempotency=key) for _ in range(5))
    comments = await asyncio.gather(*(world.comment(post, fan) for fan in fans), *duplicates)
    assert len({comment.id for comment in comments}) == len(fans) + 1
    await world.drain()
    assert (await world.stored_post(post.id)).comment_count == len(fans) + 1


@pytest.mark.parametrize("blocker", ["the post's author", "the comment's author", "both"])
async def test_a_posts_author_deletes_a_comment_across_a_block(world: World, blocker: str) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana)
    comment = await world.comment(post, bob)
    reply = await world.comment(post, eve, parent_id=comment.id)
    for user, other in ((ana, bob), (bob, ana)):
        if blocker in ("both", "the post's author" if user is ana else "the comment's author"):
            await world.sources.blocks.block(user.id, other.id, now=now())
    await world.drain()
    assert await delete(world, eve, comment) == ["NOT_ALLOWED"]
    assert await delete(world, ana, comment) == []
    assert await delete(world, ana, comment) == ["NOT_FOUND"]
    await world.drain()
    records = await world.sources.comments.by_ids([comment.id, reply.id])
    assert all(record is None or record.deleted for record in records)
    assert (await world.stored_post(post.id)).comment_count == 0


async def test_users_delete_their_own_comment_on_a_post_that_a_block_hides(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    comment = await world.comment(post, bob)
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    await world.drain()
    assert await delete(world, bob, comment) == []
    assert await delete(world, bob, comment) == ["NOT_FOUND"]
    await world.drain()
    assert (await world.stored_post(post.id)).comment_count == 0


async def test_the_author_of_the_post_cannot_delete_a_hidden_comment(world: World) -> None:
    ana, bob = await world.users(2)
    comment = await world.comment(await world.post(ana), bob)
    await world.drain()
    await decide(world, comment, ModerationAction.HIDE)
    assert await delete(world, ana, comment) == ["NOT_FOUND"]


async def delete(world: World, viewer: UserRecord, comment: CommentRecord) -> list[str]:
    """The codes with which `deleteComment` is refused."""
    document = "mutation ($id: ID!) { deleteComment(input: {commentId: $id}) { userErrors { code } } }"
    result = await world.execute(document, viewer, id=to_global_id("Comment", comment.id))
    assert result.data is not None, result.errors
    return [error["code"] for error in result.data["deleteComment"]["userErrors"]]
