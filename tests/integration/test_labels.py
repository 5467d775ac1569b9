"""Labels of posts beside decisions that hide: each ends with its own decision."""

import pytest

from domain.records.moderation import (
    DecisionRecord,
    ModerationAction,
)
from domain.records.posts import PostRecord, PostStatus
from tests.support.auditing import audit
from tests.support.factories import World
from tests.support.moderating import appeal, decide


async def test_an_appeal_against_a_label_lifts_it_and_one_against_an_earlier_warning_does_not(own: World) -> None:
    post = await own.post(await own.user())
    warned = await decide(own, post, ModerationAction.WARN)
    labelled = await decide(own, post, ModerationAction.LABEL_SENSITIVE)
    for decision, is_sensitive in ((warned, True), (labelled, False)):
        await decide(own, post, ModerationAction.RESTORE, case=await appeal(own, decision))
        (stored,) = await own.sources.posts.by_ids([post.id])
        assert stored is not None
        assert stored.is_sensitive is is_sensitive


async def labelled_and_hidden(world: World) -> tuple[PostRecord, DecisionRecord, DecisionRecord]:
    """A post that one decision labels and a later one hides."""
    post = await world.post(await world.user())
    labelled = await decide(world, post, ModerationAction.LABEL_SENSITIVE)
    return post, labelled, await decide(world, post, ModerationAction.HIDE)


async def how(world: World, post: PostRecord) -> tuple[PostStatus, bool]:
    stored = await world.stored_post(post.id)
    return stored.status, stored.is_sensitive


@pytest.mark.parametrize("is_by_the_version_before", [False, True])
async def test_the_end_of_hiding_keeps_a_label_that_another_decision_set(
    own: World, *, is_by_the_version_before: bool
) -> None:
    post = await own.post(await own.user())
    labelled = await decide(own, post, ModerationAction.LABEL_SENSITIVE)
    if is_by_the_version_before:  # which knows `moderated_by` alone
        unset = {"$unset": {"labelled_by": ""}}
        assert (await own.sources.database["posts"].update_one({"_id": post.id}, unset)).modified_count == 1
    await decide(own, post, ModerationAction.HIDE)
    await decide(own, post, ModerationAction.RESTORE)
    assert await how(own, post) == (PostStatus.READY, True)
    restored = await decide(own, post, ModerationAction.RESTORE, case=await appeal(own, labelled))
    assert await how(own, post) == (PostStatus.READY, False)
    assert not restored.nothing_to_undo
    document = await own.sources.database["posts"].find_one({"_id": post.id})
    assert document is not None
    assert {"labelled_by", "moderated_by"}.isdisjoint(document)


async def test_an_appeal_undoes_the_decision_that_it_is_against_and_no_other(own: World) -> None:
    post, labelled, hidden = await labelled_and_hidden(own)
    await decide(own, post, ModerationAction.RESTORE, case=await appeal(own, labelled))
    assert await how(own, post) == (PostStatus.HIDDEN, False)
    await decide(own, post, ModerationAction.RESTORE, case=await appeal(own, hidden))
    assert await how(own, post) == (PostStatus.READY, False)
    post, labelled, hidden = await labelled_and_hidden(own)
    await decide(own, post, ModerationAction.RESTORE, case=await appeal(own, hidden))
    assert await how(own, post) == (PostStatus.READY, True)
    await decide(own, post, ModerationAction.RESTORE)
    restored = await decide(own, post, ModerationAction.RESTORE, case=await appeal(own, labelled))
    assert restored.nothing_to_undo
    await own.drain()
    await audit(own, has_files=False)
