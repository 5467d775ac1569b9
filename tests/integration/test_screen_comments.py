"""Screening of comments: hiding and showing, screens that fail, and comments that came too late."""

import asyncio
from collections.abc import Iterable

import pytest

from config import Settings
from domain.comment_screening import ALLOW, Screened, Verdict
from domain.ids import to_global_id
from domain.records.comments import CommentRecord
from domain.records.moderation import ModerationAction
from domain.records.notifications import NotificationKind
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.auditing import audit
from tests.support.factories import World, changed_sources, now
from tests.support.moderating import decide
from workers.handlers.clean_up import clean_comment, clean_post
from workers.handlers.screen_comments import ScreenFailed, UnknownScreenError, screen_comments, screen_of
from workers.runtime.handler import Tools

BELOW = """query ($id: ID!, $comment: ID!) {
  node(id: $comment) { id }
  post(id: $id) {
    commentCount
    previewComments { text }
    newest: comments { edges { node { text } } }
    top: comments(order: TOP) { edges { node { text } } }
  }
}"""


async def no_shouting(screened: Screened) -> Verdict:
    """A screen, as an operator would write one."""
    assert screened.post.id == screened.comment.post_id
    assert screened.author.id == screened.comment.author_id
    return Verdict(hide_because="shouting") if screened.comment.text.isupper() else ALLOW


async def broken(_screened: Screened) -> Verdict:
    raise ConnectionError("the service is away")


async def endless(_screened: Screened) -> Verdict:
    await asyncio.Event().wait()
    return ALLOW


async def talkative(_screened: Screened) -> str:
    return "fine"


def not_async(_screened: Screened) -> Verdict:
    return ALLOW


def tools_with(world: World, **given: object) -> Tools:
    """The tools of a worker with other settings."""
    settings = world.sources.settings.model_copy(update=given)
    return Tools(sources=changed_sources(world.sources, settings=settings))


def this(function: str) -> str:
    """The setting for a screen of this module."""
    return f"{__name__}:{function}"


async def seen(world: World, post: PostRecord, comment: CommentRecord, viewer: UserRecord | None) -> object:
    """Whether a viewer sees the comment by its id, in both lists and in the preview."""
    ids = {"id": to_global_id("Post", post.id), "comment": to_global_id("Comment", comment.id)}
    result = await world.execute(BELOW, viewer, **ids)
    assert result.errors is None, result.errors
    assert result.data is not None
    shown = result.data["post"]

    def has(nodes: Iterable[dict[str, str]]) -> bool:
        return any(node["text"] == comment.text for node in nodes)

    lists = [has(edge["node"] for edge in shown[order]["edges"]) for order in ("newest", "top")]
    return result.data["node"] is not None, *lists, has(shown["previewComments"]), shown["commentCount"]


async def kinds(world: World, user: UserRecord) -> list[NotificationKind]:
    """The kinds of a user's notifications, but for those of decisions."""
    inbox = await world.inbox(user)
    return sorted(each.kind for each in inbox if each.kind is not NotificationKind.DECIDED)


async def pending(world: World, comment: CommentRecord) -> set[str]:
    """The pending tasks of a comment."""
    document = await world.sources.database["comments"].find_one({"_id": comment.id})
    assert document is not None
    return set(document.get("outbox", ()))


async def test_a_hidden_comment_is_hidden_from_all_but_its_author_and_can_be_shown_again(world: World) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana)
    comment = await world.comment(post, bob, "BUY NOW", mention_ids=[eve.id])
    await world.sources.comment_likes.like(comment.id, eve.id, now())
    await world.drain()
    shown = (True, True, True, True, 1)
    for viewer in (ana, bob, eve, None):
        assert await seen(world, post, comment, viewer) == shown
    kinds_before = await kinds(world, ana), await kinds(world, eve)
    assert NotificationKind.COMMENTED in kinds_before[0]
    assert NotificationKind.MENTIONED in kinds_before[1]

    for _ in range(2):
        await decide(world, comment, ModerationAction.HIDE)
        await world.drain()
    for viewer in (ana, eve, None):
        assert await seen(world, post, comment, viewer) == (False, False, False, False, 0)
    assert (await seen(world, post, comment, bob))[:3] == (True, True, True)  # type: ignore[index]
    assert NotificationKind.COMMENTED not in await kinds(world, ana)
    assert NotificationKind.MENTIONED not in await kinds(world, eve)
    assert await kinds(world, bob) == [NotificationKind.COMMENT_LIKED]
    await audit(world, has_files=False)

    for _ in range(2):
        await decide(world, comment, ModerationAction.RESTORE)
        await world.drain()
    for viewer in (ana, bob, eve, None):
        assert await seen(world, post, comment, viewer) == shown
    assert (await kinds(world, ana), await kinds(world, eve)) == kinds_before
    await audit(world, has_files=False)


async def test_the_screen_named_in_the_settings_hides_comments(world: World) -> None:
    ana, bob = await world.users(2)
    post, tools = await world.post(ana), tools_with(world, comment_screen=this("no_shouting"))
    loud, calm = await world.comment(post, bob, "LOUD"), await world.comment(post, bob, "calm")
    for comment in (loud, calm, loud):
        await screen_comments(tools, str(comment.id))
    await world.drain()
    stored_post = await world.stored_post(post.id)
    assert (stored_post.comment_count, stored_post.preview_comment_ids) == (1, [calm.id])
    document = await world.sources.database["comments"].find_one({"_id": loud.id})
    assert document is not None
    assert (document["hidden"], document["hidden_because"]) == (True, "shouting")
    await audit(world, has_files=False)


async def test_hidden_replies_are_taken_off_the_count_of_their_comment(world: World) -> None:
    ana = await world.user()
    post = await world.post(ana)
    parent = await world.comment(post, ana)
    reply = await world.comment(post, ana, parent_id=parent.id)
    await world.drain()
    await decide(world, reply, ModerationAction.HIDE)
    await world.drain()
    assert ((await world.stored_comment(parent.id)).reply_count, (await world.stored_post(post.id)).comment_count) == (
        0,
        1,
    )


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("buy \uff23\uff21\uff33\uff29\uff2e\uff2f chips", True),
        ("Casino!", True),
        ("casinos", False),
        ("STRASSE", True),
        ("a-b", False),
    ],
)
async def test_blocked_words_hide_as_whole_words_of_any_case_and_width(world: World, text: str, hidden: bool) -> None:
    ana = await world.user()
    comment = await world.comment(await world.post(ana), ana, text)
    await screen_comments(tools_with(world, blocked_words=("casino", "straße")), str(comment.id))
    assert (await world.stored_comment(comment.id)).hidden is hidden


@pytest.mark.parametrize("screen", ["broken", "endless", "talkative"])
async def test_a_screen_that_fails_leaves_the_comment_visible_and_its_screening_pending(
    world: World, screen: str
) -> None:
    ana = await world.user()
    post = await world.post(ana)
    comment = await world.comment(post, ana)
    tools = tools_with(world, comment_screen=this(screen), screen_timeout=0.05)
    with pytest.raises(ScreenFailed):
        await screen_comments(tools, str(comment.id))
    assert "screen" in await pending(world, comment)
    assert await seen(world, post, comment, None) == (True, True, True, False, 0)
    await world.drain()
    assert await pending(world, comment) == set()


async def test_a_comment_shown_by_hand_is_not_screened_again(world: World) -> None:
    ana = await world.user()
    comment = await world.comment(await world.post(ana), ana, "LOUD")
    await decide(world, comment, ModerationAction.RESTORE)
    assert "screen" not in await pending(world, comment)


async def test_a_verdict_on_a_comment_that_was_shown_meanwhile_is_dropped(world: World) -> None:
    ana = await world.user()
    comment = await world.comment(await world.post(ana), ana)
    read = await world.sources.database["comments"].find_one({"_id": comment.id})
    assert read is not None
    await decide(world, comment, ModerationAction.HIDE)
    await decide(world, comment, ModerationAction.RESTORE)
    await world.sources.comments.hide_screened(read, "late", now())
    assert not (await world.stored_comment(comment.id)).hidden


async def test_a_reply_added_after_its_parent_was_cleaned_up_is_removed(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    parent = await world.comment(post, ana)
    await world.sources.comments.delete(parent.id, now())
    await clean_comment(world.tools, str(parent.id))
    reply = await world.comment(post, bob, parent_id=parent.id)
    await world.drain()
    assert await world.sources.comments.by_ids([reply.id, parent.id]) == [None, None]
    assert (await world.stored_post(post.id)).comment_count == 0
    assert await kinds(world, ana) == [NotificationKind.POST_READY]
    await audit(world, has_files=False)


async def test_a_comment_added_after_its_post_was_cleaned_up_is_removed(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.drain()
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    comment = await world.comment(post, bob)
    await world.drain()
    assert await world.sources.comments.by_ids([comment.id]) == [None]
    assert await kinds(world, ana) == []


async def test_replies_and_deletions_at_once_leave_no_orphan(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    parents = [await world.comment(post, ana) for _ in range(6)]

    async def storm(parent: CommentRecord) -> None:
        replies = [world.comment(post, bob, parent_id=parent.id) for _ in range(4)]
        await asyncio.gather(*replies, world.sources.comments.delete(parent.id, now()), world.drain())

    await asyncio.gather(*map(storm, parents))
    await world.drain()
    assert await world.sources.database["comments"].count_documents({"post_id": post.id}) == 0
    assert (await world.stored_post(post.id)).comment_count == 0
    await audit(world, has_files=False)


async def test_cleaning_up_a_post_twice_is_harmless(world: World) -> None:
    ana = await world.user()
    post = await world.post(ana)
    await world.drain()
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    await clean_post(world.tools, str(post.id))


@pytest.mark.parametrize("name", ["nowhere:function", "json:nothing", "json", this("not_async")])
def test_a_setting_that_names_no_screen_is_refused(name: str) -> None:
    with pytest.raises(UnknownScreenError, match="comment_screen"):
        screen_of(Settings(environment="test", comment_screen=name))
