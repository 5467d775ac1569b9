"""Saved posts and collections through the API: savePost, unsavePost, collections and links to them."""

from tests.e2e.conftest import Register
from tests.support.client import Api, Person
from tests.support.waiting import eventually

SAVED = "{ viewer { savedPosts { edges { postId node { id author { username } } } } } }"
SHARED = "query ($key: String!) { sharedCollection(key: $key) { name savedPosts { edges { node { id } } } } }"


async def saved(viewer: Person) -> list[str]:
    return [edge["postId"] for edge in (await viewer.get(SAVED))["viewer"]["savedPosts"]["edges"]]


async def test_a_post_is_saved_collected_shared_and_deleted(register: Register, nobody: Api) -> None:
    ana, bob = await register(), await register()
    first, second = await ana.ready_post(), await ana.ready_post()
    made = await bob.done("createCollection", "collection { id savedPostCount }", name="Light", idempotencyKey="one")
    collection = made["collection"]["id"]
    for post_id in (first, second):
        selection = "post { viewerHasSaved viewerCollections { id savedPostCount } }"
        payload = await bob.done("savePost", selection, postId=post_id, collectionIds=[collection])
        assert payload["post"]["viewerHasSaved"]
        assert [each["id"] for each in payload["post"]["viewerCollections"]] == [collection]
    assert await saved(bob) == [second, first]
    selection = "collection { shareKey savedPosts { edges { postId note } } }"
    changes = [{"postId": first, "afterPostId": None, "note": "print it"}]
    given = {"collectionId": collection, "posts": changes, "isShared": True}
    changed = (await bob.done("updateCollection", selection, **given))["collection"]
    assert changed["savedPosts"]["edges"] == [{"postId": first, "note": "print it"}, {"postId": second, "note": None}]
    opened = (await nobody.get(SHARED, key=changed["shareKey"]))["sharedCollection"]
    assert [edge["node"]["id"] for edge in opened["savedPosts"]["edges"]] == [first, second]
    await ana.done("blockUser", userId=bob.id)
    edges = (await bob.get(SAVED))["viewer"]["savedPosts"]["edges"]
    assert edges == [{"postId": second, "node": None}, {"postId": first, "node": None}]
    await bob.done("unsavePost", postId=second)
    await ana.done("deletePost", postId=first)

    async def is_gone() -> bool:
        return await saved(bob) == []

    await eventually(is_gone)
    await bob.done("deleteCollection", collectionId=collection)
    assert (await nobody.get(SHARED, key=changed["shareKey"]))["sharedCollection"] is None


async def test_without_a_session_nothing_is_saved(people: list[Person], nobody: Api) -> None:
    post_id = await people[0].ready_post()
    document = "mutation ($id: ID!) { savePost(input: {postId: $id}) { userErrors { code } } }"
    assert (await nobody.ask(document, id=post_id)).codes == ["UNAUTHENTICATED"]
