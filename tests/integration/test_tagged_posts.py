"""`User.taggedPosts`, and tags that wait for the approval of who is tagged."""

from typing import Any

import pytest
from bson import ObjectId

from datasources.mongo.queries import within
from domain.ids import to_global_id
from domain.image_formats import SourceFormat
from domain.records.posts import PostRecord
from domain.records.users import AccountStanding, UserRecord, UserState
from tests.support.factories import World, image, now
from tests.support.maintenance import find_faults
from tests.support.uploads import insert_upload
from workers.maintenance.checks.check import Finding
from workers.maintenance.checks.tagged_posts import LISTED, TAGGED_POSTS, UNLISTED

TAGGED = """query ($id: ID!, $first: Int, $after: String) {
  node(id: $id) { ... on User { taggedPosts(first: $first, after: $after) {
    edges { node { id images { taggedUsers { isPending user { username } } } } } pageInfo { endCursor hasNextPage }
  } } }
}"""
PREFER = """mutation ($input: UpdatePreferencesInput!) {
  updatePreferences(input: $input) { viewer { preferences { approvesTags } } userErrors { code field } }
}"""
CREATE = "mutation ($input: CreatePostInput!) { createPost(input: $input) { post { id } userErrors { code } } }"
APPROVE = """mutation ($id: ID!) {
  approveTag(input: {postId: $id}) { post { images { taggedUsers { isPending } } } userErrors { code field } }
}"""
REMOVE = "mutation ($id: ID!) { removeTag(input: {postId: $id}) { userErrors { code } } }"


async def ask(world: World, document: str, viewer: UserRecord | None, **variables: Any) -> Any:
    """The one root field of the answer."""
    result = await world.execute(document, viewer, **variables)
    assert result.errors is None, result.errors
    (value,) = (result.data or {}).values()
    return value


async def tagged(world: World, viewer: UserRecord | None, person: UserRecord, **page: Any) -> list[str] | None:
    """The ids of the posts that tag somebody, as a viewer sees them; None if they do not see the person."""
    user = await ask(world, TAGGED, viewer, id=to_global_id("User", person.id), **page)
    return None if user is None else [edge["node"]["id"] for edge in user["taggedPosts"]["edges"]]


def gid(post: PostRecord) -> str:
    return to_global_id("Post", post.id)


async def entries(world: World, person: UserRecord) -> int:
    query = {"_id": within(person.id, "u", "p")}
    return await world.sources.database["tagged_posts"].count_documents(query)


async def test_posts_that_tag_somebody_are_listed_for_those_who_may_see_them(world: World) -> None:
    ana, bob, eve = await world.users(3)
    private = await world.user(is_private=True)
    first, second, hidden = [await world.post(author, tagged=[bob]) for author in (ana, eve, private)]
    await world.post(ana)
    await world.drain()
    for viewer in (ana, eve, None):
        assert await tagged(world, viewer, bob) == [gid(second), gid(first)]
    assert await tagged(world, private, bob) == [gid(hidden), gid(second), gid(first)]
    assert await tagged(world, bob, bob) == [gid(second), gid(first)]
    assert await tagged(world, eve, bob, first=1) == [gid(second)]
    await world.sources.blocks.block(ana.id, eve.id, now=now())
    assert await tagged(world, eve, bob) == [gid(second)]
    await world.sources.blocks.block(eve.id, bob.id, now=now())
    assert await tagged(world, None, bob) == [gid(first)]  # no tag stands while there is a block between the two
    await world.set_standing(ana, AccountStanding.SUSPENDED)
    assert await tagged(world, None, bob) == []
    await world.sources.users.update_profile(bob.id, {"is_private": True})
    assert await tagged(world, None, bob) == []
    assert await tagged(world, private, bob) == []


async def test_a_removed_tag_and_a_deleted_post_leave_the_list_at_once_and_its_index_soon(world: World) -> None:
    ana, bob = await world.users(2)
    first, second = await world.post(ana, tagged=[bob]), await world.post(ana, tagged=[bob, ana])
    await world.drain()
    assert await entries(world, bob) == 2
    await ask(world, REMOVE, bob, id=gid(first))
    assert await tagged(world, ana, bob) == [gid(second)]
    await world.sources.posts.delete(second.id, ana.id, now())
    assert await tagged(world, ana, bob) == []
    await world.drain()
    assert (await entries(world, bob), await entries(world, ana)) == (0, 0)


async def find_wrong(world: World) -> list[Finding]:
    kinds = {LISTED, UNLISTED}
    return [each for each in await find_faults(world) if each.kind in kinds]


async def test_what_belongs_to_a_deleted_account_is_left_to_its_deletion(own: World) -> None:
    ana, bob, eve = await own.users(3)
    post = await own.post(ana, tagged=[bob, eve])
    await own.drain()
    posts, users = own.sources.database["posts"], own.sources.database["users"]
    await users.update_one({"_id": bob.id}, {"$set": {"state": UserState.DELETED.value}})
    for write in (
        own.sources.tagged_posts.delete(bob.id, post.id),
        posts.update_one({"_id": post.id}, {"$pull": {"listed_tags": bob.id}}),
        posts.update_one({"_id": post.id}, {"$pull": {"images.$[].tagged_users": {"user_id": bob.id}}}),
    ):
        await write
        assert await find_wrong(own) == []
    await own.sources.database["tagged_posts"].insert_one({"_id": {"u": bob.id, "p": post.id}})
    assert await find_wrong(own) == []
    await own.sources.tagged_posts.delete(eve.id, post.id)
    assert [each.kind for each in await find_wrong(own)] == [UNLISTED]


async def test_repair_lists_an_old_post_and_notifies_nobody(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana, tagged=[bob])
    await own.drain()
    database = own.sources.database
    for name in ("notifications", "tagged_posts"):
        await database[name].delete_many({})
    await database["posts"].update_one({"_id": post.id}, {"$unset": {"listed_tags": ""}})
    (finding,) = await find_wrong(own)
    unlisted = next(check.repairs[UNLISTED] for check in TAGGED_POSTS if UNLISTED in check.repairs)
    assert unlisted is not None
    for _ in range(2):
        await unlisted(own.sources, finding)
        assert (await find_wrong(own), await tagged(own, ana, bob)) == ([], [gid(post)])
    await own.drain()
    assert await database["notifications"].count_documents({"recipient_id": bob.id}) == 0


@pytest.fixture
async def pending(world: World) -> tuple[UserRecord, UserRecord, PostRecord]:
    """Ana, bob who approves tags, and ana's post that tags him."""
    ana, bob = await world.users(2)
    preferred = await ask(world, PREFER, bob, input={"approvesTags": True})
    assert preferred == {"viewer": {"preferences": {"approvesTags": True}}, "userErrors": []}
    upload = await world.sources.uploads.announce(ana.id, SourceFormat.JPEG, 9, "", now())
    people = [{"userId": to_global_id("User", user.id), "x": 0.1, "y": 0.2} for user in (bob, ana)]
    images = [{"uploadId": to_global_id("MediaUpload", upload.id), "taggedUsers": people}]
    made = await ask(world, CREATE, ana, input={"images": images})
    assert made["userErrors"] == []
    stored = await world.sources.database["posts"].find_one({"author_id": ana.id})
    assert stored is not None
    tags = stored["image_inputs"][0]["tagged_users"]
    assert [tag["is_pending"] for tag in tags] == [True, False]
    await world.sources.database["uploads"].delete_one({"_id": upload.id})
    await insert_upload(world, image(upload.id), ana.id)
    await world.drain()
    return ana, bob, await world.stored_post(stored["_id"])


SHOWN = "query ($id: ID!) { post(id: $id) { images { taggedUsers { isPending user { username } } } } }"


async def names(world: World, viewer: UserRecord | None, post: PostRecord) -> list[str]:
    (shown,) = (await ask(world, SHOWN, viewer, id=gid(post)))["images"]
    return [tag["user"]["username"] for tag in shown["taggedUsers"]]


async def test_a_tag_that_waits_is_shown_to_its_person_alone_until_they_approve_it(
    world: World, pending: tuple[UserRecord, UserRecord, PostRecord]
) -> None:
    ana, bob, post = pending
    assert await names(world, bob, post) == [bob.username, ana.username]
    assert await tagged(world, bob, bob) == [gid(post)]
    for viewer in (ana, None):
        assert await names(world, viewer, post) == [ana.username]
        assert await tagged(world, viewer, bob) == []
    payload = await ask(world, APPROVE, ana, id=gid(post))  # of her own tags, and no others
    assert payload["post"] == {"images": [{"taggedUsers": [{"isPending": False}]}]}
    for _ in range(2):
        payload = await ask(world, APPROVE, bob, id=gid(post))
        assert payload == {"post": {"images": [{"taggedUsers": [{"isPending": False}] * 2}]}, "userErrors": []}
    for viewer in (ana, None):
        assert await names(world, viewer, post) == [bob.username, ana.username]
        assert await tagged(world, viewer, bob) == [gid(post)]
    before = len(await world.inbox(bob))
    await world.drain()
    assert len(await world.inbox(bob)) == before == 1


async def test_a_tag_that_waits_can_be_removed(
    world: World, pending: tuple[UserRecord, UserRecord, PostRecord]
) -> None:
    ana, bob, post = pending
    await ask(world, REMOVE, bob, id=gid(post))
    for viewer in (bob, ana):
        assert await names(world, viewer, post) == [ana.username]
    assert await tagged(world, bob, bob) == []


async def test_approving_what_is_not_there_changes_nothing(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    assert (await ask(world, APPROVE, bob, id=gid(post)))["userErrors"] == []
    missing = to_global_id("Post", ObjectId())
    assert await ask(world, APPROVE, bob, id=missing) == {"post": None, "userErrors": []}
    errors = (await ask(world, APPROVE, bob, id="nonsense"))["userErrors"]
    assert errors == [{"code": "NOT_FOUND", "field": ["postId"]}]
    errors = (await ask(world, PREFER, bob, input={"approvesTags": None}))["userErrors"]
    assert errors == [{"code": "INVALID_INPUT", "field": ["approvesTags"]}]
