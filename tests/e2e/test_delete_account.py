"""deleteAccount: nobody sees the account from the answer on, and in the end nothing of it is left anywhere."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from bson import ObjectId

from domain.ids import from_global_id, to_global_id
from tests.e2e.conftest import Register
from tests.support.account_references import account_references, lasting_keys
from tests.support.auditing import audit
from tests.support.client import PASSWORD, Api, Person, Socket, small_jpeg
from tests.support.crashing import dies_before_jobs
from tests.support.factories import World, now, opened
from tests.support.full_account import remove_final_check_delay
from tests.support.stack import Stack
from tests.support.waiting import eventually
from workers.handlers import delete_account
from workers.runtime.handler import RetryLater

NODE = "query ($id: ID!) { node(id: $id) { __typename } }"
USER = "query ($name: String!) { user(username: $name) { id } }"
SEEN = """query ($post: ID!) {
  feed(first: 50) { edges { node { id } } }
  viewer {
    user {
      followerCount followingCount followers { edges { node { id } } } following { edges { node { id } } }
    }
    blockedUsers { edges { node { id } } } mutedUsers { edges { node { id } } }
  }
  notifications(first: 50) { edges { node {
    __typename id
    ... on PostNotification { actors { id } } ... on CommentNotification { actors { id } }
    ... on FollowNotification { actors { id } }
  } } }
  post(id: $post) {
    likeCount commentCount likes(first: 50) { edges { node { id } } } mentions { id }
    images { taggedUsers { user { id } } }
    comments(first: 50) { edges { node { id author { id } mentions { id } replies { edges { node { id } } } } } }
  }
}"""
IN = "tokens { accessToken }"
FETCH = "query ($id: ID!) { post(id: $id) { images { id renditions { url } } } }"
COUNTS = (
    "query ($id: ID!) { post(id: $id) { likeCount commentCount } viewer { user { followerCount followingCount } } }"
)


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    """The stores below the running processes."""
    async with opened(stack.settings) as world:
        yield world


def oid(global_id: str) -> ObjectId:
    return from_global_id(global_id)[1]


async def finish(world: World, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the final check of an account's deletion now, until it is done."""
    remove_final_check_delay(monkeypatch)

    async def is_done() -> bool:
        try:
            await delete_account.delete_account(world.tools, str(oid(person.id)))
        except RetryLater:
            return False
        return await world.sources.users.deleted_account(oid(person.id)) is None

    await eventually(is_done, seconds=60, every=0.5)


async def objects(world: World, uploads: list[dict[str, Any]]) -> list[str]:
    """The keys of the objects of these uploads in both buckets."""
    blobs, ids = world.sources.blobs, [str(upload["_id"]) for upload in uploads]
    keys = [blob.key async for blob in blobs.list_media() if any(id_ in blob.key for id_ in ids)]
    return keys + [blob.key for upload in uploads async for blob in blobs.list_incoming(upload["key"])]


async def befriend(ana: Person, bob: Person, cat: Person, *, is_private: bool) -> None:
    """Ana and bob follow each other, and cat follows ana; if she is private, cat's request stays open."""
    await ana.done("updateProfile", isPrivate=is_private)
    for follower, followee in ((bob, ana), (cat, ana), (ana, bob)):
        await follower.done("followUser", userId=followee.id)
    if is_private:
        await ana.done("acceptFollowRequest", userId=bob.id)


async def publish(author: Person, *people: Person) -> str:
    """A ready post of two images that mentions and tags people."""
    tags = [{"userId": person.id, "x": 0.5, "y": 0.5} for person in people]
    images = [{"uploadId": await author.upload(small_jpeg()), "taggedUsers": tags} for _ in range(2)]
    caption = " ".join(f"@{person.username}" for person in people)
    post_id = await author.create_post(images=images, caption=caption, idempotencyKey=author.username)
    await author.wait_for_status(post_id, "READY")
    return post_id


async def like_and_comment(ana: Person, bob: Person, cat: Person, hers: str, his: str) -> str:
    """They like each other's posts and comments, and comment and reply. Returns ana's comment below bob's post."""
    for person, post in ((ana, his), (bob, hers), (cat, his)):
        await person.done("likePost", postId=post)
    selection = "commentEdge { node { id } }"
    mine = await ana.done("addComment", selection, postId=his, text="mine", idempotencyKey="once")
    comment = str(mine["commentEdge"]["node"]["id"])
    await bob.done("addComment", selection, postId=his, parentId=comment, text="an answer")
    theirs = await cat.done("addComment", selection, postId=his, text=f"look, @{ana.username}")
    await ana.done("addComment", selection, postId=his, parentId=theirs["commentEdge"]["node"]["id"], text="I do")
    await bob.done("addComment", selection, postId=hers, text="below hers")
    for person, comment_id in ((bob, comment), (ana, theirs["commentEdge"]["node"]["id"])):
        await person.done("likeComment", commentId=comment_id)
    return comment


async def seen_by(viewer: Person, post_id: str) -> str:
    """All that a viewer is shown around somebody else's post and in their own lists."""
    return str(await viewer.get(SEEN, post=post_id))


@pytest.mark.parametrize("is_private", [False, True], ids=["public", "private"])
async def test_an_account_with_everything_is_gone_for_everybody_and_everywhere(
    register: Register, world: World, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, *, is_private: bool
) -> None:
    ana, bob, cat, mal = [await register() for _ in range(4)]
    await befriend(ana, bob, cat, is_private=is_private)
    hers, his = await publish(ana, bob), await publish(bob, ana, cat)
    comment = await like_and_comment(ana, bob, cat, hers, his)
    face = await ana.upload(small_jpeg())
    await eventually(lambda: _became_avatar(ana, face), seconds=30, every=0.2)
    await ana.done("blockUser", userId=mal.id)
    await bob.done("muteUser", userId=ana.id)
    await bob.done("unmuteUser", userId=ana.id)
    await cat.done("muteUser", userId=ana.id)
    await ana.done("muteUser", userId=cat.id)
    coming = await ana.announce(late := small_jpeg())
    for person in (ana, bob, cat):
        await person.get("{ feed(first: 5, order: RANKED) { edges { cursor } } }")
        await person.get(USER, name=ana.username)
    await eventually(lambda: _is_notified(bob, ana), seconds=20, every=0.2)
    assert ana.id in await seen_by(bob, his)
    uploads = await world.sources.database["uploads"].find({"owner_id": oid(ana.id)}).to_list()
    assert len(await objects(world, uploads)) >= 3 * 4
    fetched = (await bob.get(FETCH, id=hers))["post"]["images"]

    async with ana.socket() as socket:
        await socket.subscribe("subscription { notificationAdded { seq } }")
        closing, begun = asyncio.create_task(_closed(socket)), time.monotonic()
        payload = await ana.done("deleteAccount", "deletedUserId", password=PASSWORD)
        assert payload["deletedUserId"] == ana.id
        for viewer in (bob, cat, mal):  # at once, whatever the workers have done
            for gid in (ana.id, hers, comment, fetched[0]["id"], to_global_id("Image", oid(face))):
                assert (await viewer.get(NODE, id=gid))["node"] is None
            assert (await viewer.get(USER, name=ana.username))["user"] is None
            assert ana.id not in await seen_by(viewer, his)
        code, ended = await closing
        assert (code, ended - begun < 2) == (4403, True)
    assert (await ana.ask("{ feed { edges { cursor } } }")).codes == ["UNAUTHENTICATED"]
    assert await Api(http).refused("login", login=ana.username, password=PASSWORD) == ("INVALID_CREDENTIALS", None)
    refreshed = await Api(http).refused("refreshSession", refreshToken=ana.refresh_token)
    assert refreshed == ("INVALID_CREDENTIALS", None)

    new = await Person.register(http, username=ana.username, email=f"{ana.username}@example.com")
    await eventually(lambda: _are_gone(world, uploads), seconds=60, every=0.5)
    if not is_private:
        answers = await asyncio.gather(*(http.get(rendition["url"]) for rendition in fetched[0]["renditions"]))
        assert not any(answer.is_success for answer in answers)
    sent = await ana.send(coming["request"], late)  # the signed address is still valid
    assert sent.is_success
    await finish(world, ana, monkeypatch)

    await expect_no_reference(world, ana)
    assert await objects(world, uploads) == []
    assert (await bob.get(COUNTS, id=his)) == {
        "post": {"likeCount": 1, "commentCount": 1},
        "viewer": {"user": {"followerCount": 0, "followingCount": 0}},
    }
    mine = await new.get("{ viewer { user { postCount followerCount followingCount biography avatar { id } } } }")
    assert mine["viewer"]["user"] == {
        "postCount": 0, "followerCount": 0, "followingCount": 0, "biography": None, "avatar": None,
    }  # fmt: skip
    assert (await new.get("{ notifications { edges { cursor } } }"))["notifications"]["edges"] == []
    assert new.id not in await seen_by(bob, his)
    await audit(world, are_files_awaited=True)


async def expect_no_reference(world: World, person: Person) -> None:
    """Reads everything. Only the account's emptied document and others' interests may still name it.

    The document is kept for a hundred days. Nobody is shown interests; they are computed again, and `gc` checks them.
    """
    left = await account_references(world, oid(person.id))
    assert set(left) <= {"users", "interests"}, left
    assert left["users"] == [oid(person.id)]
    assert await lasting_keys(world, oid(person.id)) == []


async def _closed(socket: Socket) -> tuple[int | None, float]:
    """The code that a socket is closed with, and when."""
    return await socket.closed(), time.monotonic()


async def _became_avatar(person: Person, upload_id: str) -> bool:
    return not (await person.do("updateProfile", avatarUploadId=upload_id))["userErrors"]


async def _is_notified(bob: Person, ana: Person) -> bool:
    """Whether bob has the notifications of all that ana did: four, two of them about likes."""
    answer = await bob.get(
        "{ notifications(first: 50) { edges { node { __typename ... on PostNotification { actors { id } } "
        "... on CommentNotification { actors { id } } ... on FollowNotification { actors { id } } } } } }"
    )
    return str(answer).count(ana.id) >= 4


async def _are_gone(world: World, uploads: list[dict[str, Any]]) -> bool:
    return not await objects(world, uploads)


async def test_a_fresh_proof_stands_for_the_password(
    register: Register, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await register()
    stale = {"$set": {"confirmed_at": now() - timedelta(minutes=11)}}
    await world.sources.database["sessions"].update_many({"user_id": oid(ana.id)}, stale)
    assert await ana.refused("deleteAccount") == ("IDENTITY_NOT_CONFIRMED", None)
    await ana.done("confirmIdentity", password=PASSWORD)
    assert (await ana.done("deleteAccount", "deletedUserId"))["deletedUserId"] == ana.id
    assert (await ana.done("deleteAccount", "deletedUserId"))["deletedUserId"] == ana.id
    await finish(world, ana, monkeypatch)


async def test_a_wrong_password_deletes_nothing_and_no_token_is_no_viewer(register: Register, nobody: Api) -> None:
    ana = await register()
    wrong = ("INVALID_CREDENTIALS", ["password"])
    assert await ana.refused("deleteAccount", password="not the password") == wrong
    assert (await ana.get("{ viewer { email } }"))["viewer"] is not None
    document = 'mutation { deleteAccount(input: {password: "x"}) { deletedUserId } }'
    assert (await nobody.ask(document)).codes == ["UNAUTHENTICATED"]


async def test_deleting_an_account_twice_concurrently_and_again_is_harmless(
    register: Register, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await register()
    alone = """mutation ($password: String!) {
      deleteAccount(input: {password: $password}) { deletedUserId userErrors { code } }
    }"""
    mixed = alone.rstrip("} \n") + '} } updateProfile(input: {biography: "still here"}) { userErrors { code } } }'
    other = Api(ana.http, (await ana.done("login", IN, login=ana.username, password=PASSWORD))["tokens"]["accessToken"])
    answers = await asyncio.gather(*(ana.ask(document, password=PASSWORD) for document in (alone, mixed, alone, alone)))
    done = {"deleteAccount": {"deletedUserId": ana.id, "userErrors": []}}
    assert [answer.data for answer in answers if answer.data and "updateProfile" not in answer.data] == [done] * 3
    assert (await ana.ask(alone, password=PASSWORD)).data == done
    assert (await ana.ask(mixed, password=PASSWORD)).codes == ["UNAUTHENTICATED"]
    await ana.done("logout")
    assert (await other.ask(alone, password=PASSWORD)).codes == ["UNAUTHENTICATED"]  # it did not delete anything
    stored = await world.stored_user(oid(ana.id))
    assert (stored.biography, stored.username) == (None, "")
    await finish(world, ana, monkeypatch)


async def test_the_suspended_can_delete_their_account(
    register: Register, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await register()
    await world.sources.users.update_profile(oid(ana.id), {"state": "SUSPENDED"})
    assert await ana.refused("deleteAccount", password="not the password") == ("INVALID_CREDENTIALS", ["password"])
    assert (await ana.done("deleteAccount", "deletedUserId", password=PASSWORD))["deletedUserId"] == ana.id
    await finish(world, ana, monkeypatch)
    await expect_no_reference(world, ana)


async def test_the_deactivated_can_delete_their_account_once_they_are_back(
    register: Register, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await register()
    await ana.done("deactivateAccount", password=PASSWORD)
    ana.token = (await Api(ana.http).done("login", IN, login=ana.username, password=PASSWORD))["tokens"]["accessToken"]
    assert (await ana.done("deleteAccount", "deletedUserId", password=PASSWORD))["deletedUserId"] == ana.id
    await finish(world, ana, monkeypatch)
    await expect_no_reference(world, ana)


async def test_an_operator_can_delete_a_deactivated_account(
    register: Register, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await register()
    await ana.done("deactivateAccount", password=PASSWORD)
    assert await world.sources.users.delete(oid(ana.id), now())
    await finish(world, ana, monkeypatch)
    await expect_no_reference(world, ana)


async def test_a_registration_is_not_repeated_once_its_account_is_deleted(
    register: Register, nobody: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"once_{secrets.token_hex(6)}"
    given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, "idempotencyKey": name}
    ana = await register(**given)
    await ana.done("deleteAccount", password=PASSWORD)
    assert await nobody.refused("register", **given) == ("NOT_FOUND", ["idempotencyKey"])
    await finish(world, ana, monkeypatch)


async def test_a_deletion_whose_sessions_are_not_ended_yet_is_done_again(
    register: Register, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await register()
    await dies_before_jobs(partial(world.sources.users.delete, oid(ana.id), now()))
    assert (await ana.done("deleteAccount", "deletedUserId", password=PASSWORD))["deletedUserId"] == ana.id
    assert await world.sources.sessions.of_user(oid(ana.id)) == []
    await finish(world, ana, monkeypatch)


async def test_mutations_that_run_while_an_account_is_deleted_leave_nothing(
    register: Register, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await register()
    post_id = await bob.ready_post()
    for _ in range(3):
        ana = await register()
        ready = await ana.upload(small_jpeg())

        async def deletes(person: Person = ana) -> Any:
            await asyncio.sleep(0.03)  # hashing takes as long again: the mutations begin before, during and after
            return await person.ask(
                "mutation ($p: String!) { deleteAccount(input: {password: $p}) { deletedUserId } }", p=PASSWORD
            )

        acts = [
            *(_act(ana, "addComment", postId=post_id, text=f"number {number}") for number in range(10)),
            *(_act(ana, "likePost", postId=post_id) for _ in range(5)),
            *(_act(me, "followUser", userId=other.id) for me, other in ((ana, bob), (bob, ana)) for _ in range(5)),
            *(_act(bob, "muteUser", userId=ana.id) for _ in range(3)),
            *(_act(ana, "createPost", images=[{"uploadId": ready}]) for _ in range(3)),
            _act(ana, "updateProfile", biography="still here"),
            _act(ana, "login", login=ana.username, password=PASSWORD),
        ]
        answers = await asyncio.gather(deletes(), *acts)
        assert answers[0].data["deleteAccount"]["deletedUserId"] == ana.id
        await finish(world, ana, monkeypatch)
        await expect_no_reference(world, ana)
    counts = await bob.get(COUNTS, id=post_id)
    assert counts == {
        "post": {"likeCount": 0, "commentCount": 0},
        "viewer": {"user": {"followerCount": 0, "followingCount": 0}},
    }
    await audit(world, are_files_awaited=True)


async def _act(person: Person, name: str, **given: Any) -> Any:
    """A mutation that may be refused, or come too late."""
    kind = name[0].upper() + name[1:]
    document = f"mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}"
    return await person.ask(document, input=given)
