"""Records that cannot be read, and those of a newer version: the rest of every page is still shown."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from bson import ObjectId
from structlog.testing import capture_logs

from datasources.mongo import lenient_reads
from datasources.redis.read_through import Cache
from domain.ids import to_global_id
from domain.image_formats import SourceFormat
from domain.jobs import Fact, Task, jobs_of
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.emptying import empty
from tests.support.factories import World, now
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk
from workers.runtime.drain import drain

PAGE = """query ($ana: String!, $eve: String!) {
  feed { edges { node { ...P } } }
  ranked: feed(order: RANKED) { edges { node { id } } }
  user(username: $ana) { ...U posts { edges { node { ...P } } } followers { edges { node { ...U } } } }
  eve: user(username: $eve) { ...U }
  viewer { user { ...U } unreadNotificationCount sessions { id } }
  notifications { edges { node { id kind actors { ...U } } } }
}
fragment U on User { id username displayName avatar { id } viewerFollowState viewerIsFollowed }
fragment P on Post {
  id caption status viewerHasLiked likeCount author { ...U } images { id renditions { format width } }
  failure { code } likes { edges { node { ...U } } } previewComments { id text }
  comments { edges { node { id text viewerHasLiked author { ...U } } } }
}"""


@dataclass
class Scene:
    """Bob follows Ana and Eve, who follow him; both of Ana's posts are liked and commented on by all three."""

    world: World
    ana: UserRecord
    bob: UserRecord
    eve: UserRecord
    posts: list[PostRecord]
    comments: list[ObjectId]

    async def page(self) -> dict[str, Any]:
        """Everything Bob can look at; nothing of it may fail."""
        result = await self.world.execute(PAGE, self.bob, ana=self.ana.username, eve=self.eve.username)
        assert result.errors is None, result.errors
        assert result.data is not None
        return result.data

    async def change(self, collection: str, record_id: Any, **values: Any) -> None:
        """Writes values that no process of this version would write, and invalidates the caches."""
        query = record_id if isinstance(record_id, dict) else {"_id": record_id}
        changed = await self.world.sources.database[collection].update_many(query, {"$set": values})
        assert changed.matched_count
        caches = self.world.sources.caches
        user_ids = [user.id for user in (self.ana, self.bob, self.eve)]
        await caches.posts.invalidate([post.id for post in self.posts])
        await caches.users.invalidate(user_ids)
        await caches.relations.invalidate((first, second) for first in user_ids for second in user_ids)
        await caches.first_pages.invalidate(user_ids)


@pytest.fixture
async def scene(world: World) -> Scene:
    world = await empty(world)
    lenient_reads._logged.clear()
    ana, bob, eve = people = await world.users(3)
    await world.open_feeds(bob)
    for follower, followee in ((bob, ana), (bob, eve), (ana, bob), (eve, bob)):
        await world.follow(follower, followee)
    await world.drain()
    posts = [await world.post(ana, caption=name) for name in ("first", "second")]
    comments = [(await world.comment(post, user, f"{user.username} was here")).id for post in posts for user in people]
    for post in posts:
        for user in people:
            await world.sources.post_likes.like(post.id, user.id, now())
    for user in people:
        await world.sources.comment_likes.like(comments[0], user.id, now())
    await world.sources.followed_hashtags.follow(bob.id, "sea")
    await world.drain()
    lenient_reads.unreadable.clear()
    return Scene(world, ana, bob, eve, posts, comments)


def ids(connection: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in connection["edges"]]


def gid(name: str, record_id: ObjectId) -> str:
    return to_global_id(name, record_id)


Change = Callable[[Scene], Awaitable[None]]
BROKEN: dict[str, tuple[str, Change]] = {
    "post": ("posts", lambda s: s.change("posts", s.posts[1].id, like_count="many")),
    "image of a post": ("posts", lambda s: s.change("posts", s.posts[1].id, images=[{"width": "wide"}])),
    "account": ("users", lambda s: s.change("users", s.eve.id, display_name=5)),
    "comment": ("comments", lambda s: s.change("comments", s.comments[-1], created_at="yesterday")),
    "like of a post": ("post_likes", lambda s: s.change("post_likes", {"user_id": s.bob.id}, liked="perhaps")),
    "like of a comment": ("comment_likes", lambda s: s.change("comment_likes", {"user_id": s.bob.id}, liked="perhaps")),
    "follow": ("follows", lambda s: s.change("follows", {"follower_id": s.bob.id}, version="two")),
    "notification": ("notifications", lambda s: s.change("notifications", {"recipient_id": s.bob.id}, kind=[1])),
    "followed hashtags": ("followed_hashtags", lambda s: s.change("followed_hashtags", s.bob.id, followed=5)),
    "feed": ("feeds", lambda s: s.change("feeds", s.bob.id, version="two")),
}


@pytest.mark.parametrize(("collection", "break_it"), BROKEN.values(), ids=BROKEN.keys())
async def test_an_unreadable_record_hides_nothing_else(scene: Scene, collection: str, break_it: Change) -> None:
    whole = await scene.page()
    await break_it(scene)
    with capture_logs() as logs:
        shown = await scene.page()
        await scene.page()
    assert gid("Post", scene.posts[0].id) in ids(shown["feed"])
    assert gid("Post", scene.posts[0].id) in ids(shown["ranked"])
    assert set(ids(shown["user"]["followers"])) <= set(ids(whole["user"]["followers"]))
    logged = [(entry["kind"], entry["id"]) for entry in logs if entry["event"] == "record cannot be read"]
    assert len(logged) == len(set(logged)), "each is logged once"
    report = await verify(Walk(sources=scene.world.sources))
    kind = f"{collection.removesuffix('s')}.unreadable"
    assert kind in {finding.kind for finding in report.findings}


async def test_unreadable_records_are_left_out_of_every_list_logged_once_and_counted(scene: Scene) -> None:
    await scene.change("posts", scene.posts[1].id, caption=5)
    await scene.change("users", scene.eve.id, post_count="none")
    with capture_logs() as logs:
        for _ in range(3):
            page = await scene.page()
    first = gid("Post", scene.posts[0].id)
    assert ids(page["feed"]) == ids(page["user"]["posts"]) == ids(page["ranked"]) == [first]
    assert page["eve"] is None
    assert gid("User", scene.eve.id) not in str(page)
    logged = {entry["id"]: entry for entry in logs if entry["event"] == "record cannot be read"}
    assert set(logged) == {str(scene.posts[1].id), str(scene.eve.id)}
    assert logged[str(scene.posts[1].id)]["reason"] == "Expected `str`, got `int` - at `$.caption`"
    assert set(lenient_reads.unreadable) == {"PostRecord", "UserRecord"}
    assert lenient_reads.unreadable["UserRecord"] > 1, "every time is counted"


async def test_nodes_answer_null_for_unreadable_records(scene: Scene) -> None:
    await scene.change("posts", scene.posts[1].id, caption=5)
    await scene.change("comments", scene.comments[0], text=None)
    asked = [gid("Post", post.id) for post in scene.posts] + [
        gid("Comment", comment_id) for comment_id in scene.comments[:2]
    ]
    result = await scene.world.execute("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", scene.bob, ids=asked)
    assert result.errors is None
    assert result.data is not None
    assert [node and node["id"] for node in result.data["nodes"]] == [asked[0], None, None, asked[3]]


STATES: dict[str, Change] = {
    "post": lambda s: s.change("posts", s.posts[1].id, status="ARCHIVED"),
    "account": lambda s: s.change("users", s.eve.id, state="FROZEN"),
}


@pytest.mark.parametrize(("what", "make"), STATES.items(), ids=STATES.keys())
async def test_an_unknown_state_hides_a_record_without_making_it_unreadable(
    scene: Scene, what: str, make: Change
) -> None:
    await make(scene)
    with capture_logs() as logs:
        page = await scene.page()
    if what == "account":
        assert page["eve"] is None
        assert gid("User", scene.eve.id) not in str(page)
    else:
        assert ids(page["feed"]) == ids(page["user"]["posts"]) == [gid("Post", scene.posts[0].id)]
    assert not [entry for entry in logs if entry["event"] == "record cannot be read"], "it can"
    own = "query ($id: ID!) { post(id: $id) { status } }"
    result = await scene.world.execute(own, scene.ana, id=gid("Post", scene.posts[1].id))
    assert result.data == {"post": {"status": "READY" if what == "account" else "PROCESSING"}}


async def test_an_unknown_follow_state_counts_as_none(scene: Scene) -> None:
    await scene.change("follows", {"follower_id": scene.bob.id, "followee_id": scene.eve.id}, state="CLOSE")
    page = await scene.page()
    assert page["eve"]["viewerFollowState"] == "NONE"
    assert page["user"]["viewerFollowState"] == "FOLLOWING"


async def test_a_rendition_of_an_unknown_format_is_left_out(scene: Scene) -> None:
    before = (await scene.page())["feed"]["edges"][0]["node"]["images"][0]["renditions"]
    await scene.change("posts", scene.posts[1].id, **{"images.0.renditions.0.format": "JXL"})
    image = (await scene.page())["feed"]["edges"][0]["node"]["images"][0]
    assert image["renditions"] == before[1:]


async def test_a_notification_of_an_unknown_kind_is_left_out_and_its_number_is_kept(scene: Scene) -> None:
    sources, of_bob = scene.world.sources, {"recipient_id": scene.bob.id}
    whole = await scene.page()
    before = await sources.notifications.changed_after(scene.bob.id, 0, 100)
    assert len(before) == 2
    await scene.change("notifications", {**of_bob, "seq": before[-1].seq}, kind="POKED")
    page = await scene.page()
    assert ids(page["notifications"]) == ids(whole["notifications"])[1:]
    assert page["viewer"]["unreadNotificationCount"] == whole["viewer"]["unreadNotificationCount"] - 1
    assert [record.seq for record in await sources.notifications.changed_after(scene.bob.id, 0, 100)] == [
        record.seq for record in before
    ]


async def test_an_upload_of_a_newer_version_is_shown_as_far_as_it_is_known(scene: Scene) -> None:
    sources, bob = scene.world.sources, scene.bob
    upload = await sources.uploads.announce(bob.id, SourceFormat.JPEG, 9, "A" * 43 + "=", now())
    asked = "query ($id: ID!) { node(id: $id) { ... on MediaUpload { status: uploadStatus failure { code } } } }"
    failure = {"code": "TOO_SHINY", "message": "no"}

    async def node(**values: Any) -> Any:
        await scene.change("uploads", upload.id, **values)
        result = await scene.world.execute(asked, bob, id=gid("MediaUpload", upload.id))
        assert result.errors is None, result.errors
        return result.data and result.data["node"]

    assert await node(status="QUEUED") == {"status": "PROCESSING", "failure": None}
    assert await node(status="REJECTED", failure=failure) == {
        "status": "REJECTED",
        "failure": {"code": "INVALID_INPUT"},
    }
    assert await node(format="JXL") is None


async def test_unreadable_interests_are_computed_again(scene: Scene) -> None:
    whole = await scene.page()
    await scene.change("interests", scene.bob.id, authors="all")
    assert ids((await scene.page())["ranked"]) == ids(whole["ranked"])
    stored = await scene.world.sources.interests.find(scene.bob.id)
    assert stored is not None
    assert stored.authors


async def test_an_unreadable_session_is_no_session(scene: Scene) -> None:
    sessions = scene.world.sources.sessions
    kept, _ = await sessions.open(scene.bob.id, None, now())
    broken, tokens = await sessions.open(scene.bob.id, None, now())
    assert await sessions.authenticate(tokens.access_token) is not None
    await scene.change("sessions", broken.id, last_used_at="now")
    assert await sessions.authenticate(tokens.access_token) is None
    assert await sessions.by_id(broken.id) is None
    assert [session.id for session in await sessions.of_user(scene.bob.id)] == [kept.id]


async def test_a_worker_does_not_treat_an_unreadable_post_as_deleted(scene: Scene) -> None:
    """The screening worker deletes comments whose post is gone; one that it cannot read is not."""
    world = scene.world
    late = await world.comment(scene.posts[1], scene.bob, "late")
    other = await world.comment(scene.posts[0], scene.bob, "fine")
    await scene.change("posts", scene.posts[1].id, caption=5)
    failures: dict[Any, Exception] = {}
    await drain(world.tools, failures)
    assert {type(error).__name__ for error in failures.values()} == {"ValidationError"}
    stored = {comment.id: comment for comment in await world.sources.comments.by_ids([late.id, other.id]) if comment}
    assert not stored[late.id].deleted
    unfinished = {"_id": {"$in": [late.id, other.id]}, "outbox": {"$exists": True}}
    rows = await world.sources.database["comments"].find(unfinished).to_list()
    assert [row["_id"] for row in rows] == [late.id], "the rest is done"
    await scene.change("posts", scene.posts[1].id, caption="again")
    await world.drain()
    assert not await world.sources.database["comments"].count_documents(unfinished)


def test_tasks_of_a_newer_version_are_left_to_it() -> None:
    follow = {"_id": ObjectId(), "follower_id": ObjectId(), "followee_id": ObjectId()}
    jobs = jobs_of(Fact.FOLLOW, {**follow, "outbox": ["applaud", "notify"]})
    assert [job.task for job in jobs] == [Task.NOTIFY]
    assert jobs_of(Fact.FOLLOW, {"_id": ObjectId(), "outbox": ["count"]}) == []


def test_versions_with_different_enums_do_not_read_each_others_cached_values() -> None:
    def mark(*values: str) -> bytes:
        status = StrEnum("Status", [(value, value) for value in values])  # type: ignore[misc]
        shape = msgspec.defstruct("Thing", [("status", status | None), ("all", list[status])])
        return Cache[str, Any](cast("Any", SimpleNamespace(prefix="")), "thing", shape | None, 1.0)._mark

    assert mark("READY") == mark("READY")
    assert mark("READY") != mark("READY", "ARCHIVED")
