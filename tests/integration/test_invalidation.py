"""Every write invalidates the caches of all processes before it is answered."""

import contextlib
import inspect
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from bson import ObjectId

from datasources.accounts.users import UserStore
from datasources.graph.blocks import BlockStore
from datasources.graph.deleted_account_relations import AccountRelations
from datasources.graph.follows import FollowStore
from datasources.graph.mutes import MuteStore
from datasources.jobs.idempotency import Idempotency
from datasources.loaders import Loaders
from datasources.media.images import ImageStore, Move
from datasources.mongo.client import Session
from datasources.mongo.sharded_ids import new_id
from datasources.mongo.transactions import after_transaction, in_transaction
from datasources.posts.comments import CommentStore
from datasources.posts.posts import PostStore
from datasources.posts.publishing import PublishingStore
from datasources.s3.keys import folder_of, moved
from domain.errors import UserErrorCode
from domain.ids import to_global_id
from domain.records.moderation import ModerationAction
from domain.records.posts import PostDraft, PostImage
from domain.records.uploads import FailureRecord
from domain.records.users import UserRecord
from domain.topics import hashtag_id
from domain.visibility import Area
from tests.support.cache_contents import stale_values, warm_caches
from tests.support.emptying import empty
from tests.support.factories import World, image, now
from tests.support.moderating import decide
from tests.support.uploads import insert_upload
from workers.maintenance.checks.counters import COUNTERS, correct_counter
from workers.maintenance.checks.preview_comments import correct_previews
from workers.maintenance.gc.facts import remove_orphaned_facts
from workers.maintenance.gc.run import GcRun
from workers.maintenance.walk import Walk
from workers.registry import HANDLERS
from workers.runtime.drain import pending_jobs
from workers.runtime.handler import RetryLater

pytestmark = pytest.mark.usefixtures("patient_caches")

ROUNDS = 2  # a finished task may leave another one pending
ROOT = Path(__file__).parents[2]
STORES = (
    PostStore,
    PublishingStore,
    CommentStore,
    UserStore,
    FollowStore,
    BlockStore,
    MuteStore,
    AccountRelations,
    ImageStore,
)
Action = Callable[[World, UserRecord, UserRecord], Awaitable[object]]

# The methods of the stores that write to cached collections.
WRITERS: set[tuple[type, str]] = {
    (store, name)
    for store in STORES
    for name, method in vars(store).items()
    if inspect.iscoroutinefunction(method) and ".invalidating(" in inspect.getsource(method)
}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> set[tuple[type, str]]:
    """Those of the writers that have been called."""
    calls: set[tuple[type, str]] = set()

    def recorded(store: type, name: str) -> Callable[..., Awaitable[object]]:
        method = vars(store)[name]

        async def call(*args: object, **options: object) -> object:
            calls.add((store, name))
            return await method(*args, **options)

        return call

    for store, name in WRITERS:
        monkeypatch.setattr(store, name, recorded(store, name))
    return calls


async def _publish(world: World, ana: UserRecord, bob: UserRecord) -> None:
    await world.post(ana, tagged=[bob])


async def _fail(world: World, ana: UserRecord, _bob: UserRecord) -> None:
    post = await world.sources.publishing.create(ana.id, PostDraft(images=[PostImage(upload_id=ObjectId())]), now())
    await warm_caches(world)
    await world.sources.publishing.fail(post.id, FailureRecord(code=UserErrorCode.IMAGE_CORRUPT, message="!"), now())


async def _edit(world: World, ana: UserRecord, _bob: UserRecord) -> None:
    post = await world.post(ana)
    await warm_caches(world)
    await world.sources.posts.update(post.id, ana.id, {"caption": "other words"}, now())


async def _delete(world: World, ana: UserRecord, _bob: UserRecord) -> None:
    post = await world.post(ana)
    await warm_caches(world)
    await world.sources.posts.delete(post.id, ana.id, now())


async def _delete_tombstones(world: World, ana: UserRecord, _bob: UserRecord) -> None:
    """A deleted post or comment that was made with a key leaves a tombstone, which is deleted with its author."""
    draft, key = PostDraft(images=[PostImage(upload_id=ObjectId())]), Idempotency.of("once", "createPost", {})
    post = await world.sources.publishing.create(ana.id, draft, now(), key)
    comment = await world.comment(await world.post(ana), ana, idempotency=Idempotency.of("once", "addComment", {}))
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.sources.comments.delete(comment.id, now())
    await world.drain()
    assert (await world.stored_post(post.id)).deleted
    assert await world.sources.comments.by_ids([comment.id]) != [None]
    await warm_caches(world)
    await world.sources.posts.delete_tombstones(ana.id)
    await world.sources.comments.delete_tombstones(ana.id)


async def _like_and_comment(world: World, ana: UserRecord, bob: UserRecord) -> None:
    post = await world.post(ana)
    await world.sources.post_likes.like(post.id, bob.id, now())
    comment = await world.comment(post, bob)
    await world.comment(post, ana, parent_id=comment.id)
    await world.sources.comment_likes.like(comment.id, ana.id, now())


async def _add_what_was_asked_for(world: World, ana: UserRecord, bob: UserRecord) -> None:
    """Somebody has guessed the id of the next comment."""
    post, comment_id = await world.post(ana), ObjectId()
    assert await Loaders(world.sources, bob.id).comment_by_id.load(comment_id) is None
    await world.comment(post, bob, new_id=comment_id)


async def _hide_a_comment(world: World, ana: UserRecord, bob: UserRecord) -> None:
    comment = await world.comment(await world.post(ana), bob)
    await warm_caches(world)
    await decide(world, comment, ModerationAction.HIDE)


async def _delete_a_comment(world: World, ana: UserRecord, bob: UserRecord) -> None:
    post = await world.post(ana)
    comment = await world.comment(post, bob)
    await world.comment(post, ana, parent_id=comment.id)
    await world.drain()
    await warm_caches(world)
    await world.sources.comments.delete(comment.id, now())


async def _delete_a_post_with_comments(world: World, ana: UserRecord, bob: UserRecord) -> None:
    post = await world.post(ana)
    await world.comment(post, bob)
    await world.drain()
    await warm_caches(world)
    await world.sources.posts.delete(post.id, ana.id, now())


async def _collect_comments(world: World, ana: UserRecord, bob: UserRecord) -> None:
    """Of a post that is gone without a trace."""
    post = await world.post(ana)
    await world.comment(post, bob)
    await world.drain()
    await world.sources.database["posts"].delete_one({"_id": post.id})
    await world.sources.caches.posts.invalidate([post.id])
    await warm_caches(world)
    run = GcRun(Walk(sources=world.sources), now() + timedelta(minutes=1), timedelta(), {}, dry_run=False)
    await remove_orphaned_facts(run)
    assert run.removed["comments"] == 1


async def _move_files(world: World, ana: UserRecord, _bob: UserRecord) -> None:
    shown = image(new_id(ana.id))
    await insert_upload(world, shown, ana.id)
    draft = PostDraft(images=[PostImage(upload_id=shown.id)])
    post = await world.sources.publishing.create(ana.id, draft, now())
    await world.sources.images.publish(post.id, [Move(shown, shown)], now())
    await world.sources.users.update_profile(ana.id, {"avatar": shown})
    await warm_caches(world)
    assert await world.sources.images.move(ana.id, Move(shown, moved(shown, Area.PRIVATE, folder_of(ana.id, shown.id))))
    assert (await world.stored_post(post.id)).images != [shown]


async def _correct(world: World, ana: UserRecord, bob: UserRecord) -> None:
    post = await world.post(ana)
    comment = await world.comment(post, bob)
    await world.drain()
    database = world.sources.database
    await database["posts"].update_one({"_id": post.id}, {"$set": {"like_count": 9, "preview_comment_ids": [post.id]}})
    await database["comments"].update_one({"_id": comment.id}, {"$set": {"like_count": 9}})
    await database["users"].update_one({"_id": ana.id}, {"$set": {"post_count": 9, "follower_count": 9}})
    await warm_caches(world)
    ids = {"post": post.id, "comment": comment.id, "user": ana.id, "topic": hashtag_id("none")}
    for counter in COUNTERS:
        await correct_counter(counter, world.sources, ids[counter.target])
    await correct_previews(world.sources, post.id)


async def _go_public(world: World, ana: UserRecord, bob: UserRecord) -> None:
    """With a request that waits; a task accepts it."""
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    await world.sources.follows.follow(bob.id, ana.id, is_private=True, now=now())
    await warm_caches(world)
    await world.sources.users.update_profile(ana.id, {"is_private": False})


async def _delete_account(world: World, ana: UserRecord, bob: UserRecord) -> None:
    """Somebody whom a post mentions, with relations of every kind, deletes their account."""
    eve = await world.user()
    await world.follow(eve, bob)
    await world.sources.mutes.mute(bob.id, eve.id)
    await world.sources.blocks.block(eve.id, ana.id, now=now())
    post = await world.post(bob, tagged=[eve], mention_ids=[eve.id])
    await world.comment(post, bob, mention_ids=[eve.id])
    await world.drain()
    await warm_caches(world)
    await world.sources.users.delete(eve.id, now())


ACTIONS: dict[str, Action] = {
    "register": lambda world, *_: world.user(),
    "edit a profile": lambda world, ana, _: world.sources.users.update_profile(ana.id, {"biography": "new"}),
    "go private": lambda world, ana, _: world.sources.users.update_profile(ana.id, {"is_private": True}),
    "go public": _go_public,
    "publish": _publish,
    "fail": _fail,
    "edit a post": _edit,
    "delete a post": _delete,
    "delete tombstones": _delete_tombstones,
    "like and comment": _like_and_comment,
    "add what was asked for": _add_what_was_asked_for,
    "hide a comment": _hide_a_comment,
    "delete a comment": _delete_a_comment,
    "delete a post with comments": _delete_a_post_with_comments,
    "collect comments": _collect_comments,
    "move files": _move_files,
    "correct": _correct,
    "follow": lambda world, ana, bob: world.follow(ana, bob),
    "unfollow": lambda world, ana, bob: world.sources.follows.unfollow(ana.id, bob.id, now=now()),
    "ask": lambda world, ana, bob: world.sources.follows.follow(bob.id, ana.id, is_private=True, now=now()),
    "accept": lambda world, ana, bob: world.sources.follows.accept(bob.id, ana.id, now=now()),
    "mute": lambda world, ana, bob: world.sources.mutes.mute(ana.id, bob.id),
    "unmute": lambda world, ana, bob: world.sources.mutes.unmute(ana.id, bob.id),
    "block": lambda world, ana, bob: world.sources.blocks.block(ana.id, bob.id, now=now()),
    "delete an account": _delete_account,
    "unblock": lambda world, ana, bob: world.sources.blocks.unblock(ana.id, bob.id, now=now()),
}


async def test_every_write_of_mutations_and_workers_invalidates_before_it_is_answered(
    world: World, other: World, called: set[tuple[type, str]]
) -> None:
    await empty(world)
    ana, bob = await world.users(2)
    for name, action in ACTIONS.items():
        await warm_caches(other)
        await action(world, ana, bob)
        assert not await stale_values(other), name
        for _ in range(ROUNDS):
            for job in sorted(await pending_jobs(world.tools)):
                await warm_caches(other)
                with contextlib.suppress(RetryLater):  # it waits for another of the jobs
                    await HANDLERS[job.kind].run(world.tools, job.key)
                assert not await stale_values(other), (name, job)
    assert called == WRITERS


async def test_another_process_reads_a_write_at_once(world: World, other: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    for step in range(3):
        loaders = Loaders(other.sources, bob.id)
        assert await loaders.visible_post_by_id.load(post.id) is not None
        await world.sources.posts.update(post.id, ana.id, {"caption": f"words {step}"}, now())
        seen = await Loaders(other.sources, bob.id).visible_post_by_id.load(post.id)
        assert seen is not None
        assert seen.caption == f"words {step}"
        await world.sources.blocks.block(ana.id, bob.id, now=now())
        assert await Loaders(other.sources, bob.id).visible_post_by_id.load(post.id) is None
        await world.sources.blocks.unblock(ana.id, bob.id, now=now())
    await world.sources.posts.delete(post.id, ana.id, now())
    assert await Loaders(other.sources, bob.id).visible_post_by_id.load(post.id) is None


async def test_no_viewer_is_shown_what_is_cached_for_another(world: World) -> None:
    ana, bob, eve = await world.user(is_private=True), await world.user(), await world.user()
    await world.follow(bob, ana)
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    secret = await world.post(ana)
    for _ in range(2):
        assert await Loaders(world.sources, bob.id).visible_post_by_id.load(secret.id) == secret
        assert await Loaders(world.sources, eve.id).visible_post_by_id.load(secret.id) is None
        assert await Loaders(world.sources, None).visible_post_by_id.load(secret.id) is None


async def test_a_mutation_decides_by_stored_records_and_not_by_cached_ones(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await Loaders(world.sources, bob.id).visible_post_by_id.load(post.id)
    private = {"$set": {"is_private": True}}
    await world.sources.database["users"].update_one({"_id": ana.id}, private)  # past the caches
    cached = await Loaders(world.sources, bob.id).visible_post_by_id.load(post.id)
    stored = await Loaders(world.sources, bob.id, stored=True).visible_post_by_id.load(post.id)
    assert (cached, stored) == (post, None)
    like = """mutation ($id: ID!) { likePost(input: {postId: $id}) { userErrors { code } } }"""
    result = await world.execute(like, bob, id=to_global_id("Post", post.id))
    assert result.data == {"likePost": {"userErrors": [{"code": "NOT_FOUND"}]}}
    await world.sources.caches.users.invalidate([ana.id])


async def test_a_transaction_invalidates_once_it_is_over_even_if_it_failed(world: World) -> None:
    steps: list[str] = []

    async def invalidate() -> None:
        steps.append("after")

    async def fails(session: Session) -> None:
        after_transaction(session, invalidate)
        steps.append("in")
        raise LookupError

    with pytest.raises(LookupError):
        await in_transaction(world.sources.client, fails)
    assert steps == ["in", "after"]


def test_only_a_cached_collections_store_writes_to_it() -> None:
    """Others only add pending tasks and the terms of search, which are not cached."""
    write = re.compile(
        r"database\[\"(posts|comments|users|follows|blocks|mutes)\"\]\.(update|insert|delete|replace|bulk|find_one_and)"
    )
    lines = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("workers", "deploy", "resolvers", "datasources")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if write.search(line) and "add_pending" not in line and path.name != "search_terms.py"
    }
    assert not lines
