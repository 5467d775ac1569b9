"""Ways to break the rules of what people make, follow and save, in the scene of `tests.support.maintenance`."""

from datetime import timedelta
from typing import Any

from bson import ObjectId

from datasources.mongo.sharded_ids import COMMENT_KEY, key_in, new_id
from datasources.posts.topics import search_fields, to_geojson
from domain.image_formats import SourceFormat
from domain.places import Point, cell_of, place_id
from domain.records.posts import PostDraft, PostImage
from tests.support.auditing import store_files
from tests.support.breaks import Break
from tests.support.factories import World, now
from tests.support.maintenance import Scene

PENDING_FIELDS = {"outbox": "", "pending_since": "", "due_at": "", "enqueues": ""}
OWNERS = {
    "posts": "author_id",
    "follows": "follower_id",
    "uploads": "owner_id",
}  # whose account the ids of documents say


async def insert(world: World, collection: str, **fields: Any) -> None:
    if collection in OWNERS:
        fields.setdefault("_id", new_id(fields[OWNERS[collection]]))
    await world.sources.database[collection].insert_one(fields)


async def lose_pending(world: World, collection: str, **values: Any) -> None:
    """Removes all pending tasks of a collection, as a bug might."""
    change = {"$unset": PENDING_FIELDS} | ({"$set": values} if values else {})
    changed = await world.sources.database[collection].update_many({"outbox": {"$exists": True}}, change)
    assert changed.modified_count


def lost_like(likes: str, **fields: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        target_id = scene.post.id if likes == "post_likes" else scene.comment_id
        like = {"target_id": target_id, "user_id": ObjectId(), "liked": False, "counted": False, "notified": False}
        await insert(world, likes, **like | fields)

    return run


def unnotified(likes: str) -> Break:
    async def run(world: World, _scene: Scene) -> None:
        await world.sources.database[likes].update_many({}, {"$unset": {"notified": ""}})

    return run


def comment(**fields: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        comment_id = new_id(scene.ana.id)
        whole: dict[str, Any] = {
            "_id": comment_id,
            COMMENT_KEY: key_in(comment_id),
            "post_id": scene.post.id,
            "author_id": scene.bob.id,
            "parent_id": None,
            "text": "",
            "mention_ids": [],
        }
        rest = {"created_at": now(), "deleted": False, "counted": True}
        await insert(world, "comments", **whole | rest | fields)

    return run


def follow(follower: str | None, followee: str | None, state: str = "FOLLOWING") -> Break:
    async def run(world: World, scene: Scene) -> None:
        ends = [getattr(scene, name).id if name else ObjectId() for name in (follower, followee)]
        counted = state == "FOLLOWING"
        marks = {"counted": counted, "counted_following": counted, "version": 1}
        await insert(world, "follows", follower_id=ends[0], followee_id=ends[1], state=state, **marks)

    return run


async def lost_claims(world: World, _scene: Scene) -> None:
    await world.sources.database["claims"].delete_many({})


async def claim_of_nobody(world: World, _scene: Scene) -> None:
    await insert(world, "claims", _id="username_key:nobody", user_id=ObjectId())


async def key_of_no_comment(world: World, scene: Scene) -> None:
    await insert(world, "claims", _id=f"key:{scene.ana.id}:addComment:k", fact_id=ObjectId(), digest=b"")


async def listed_without_a_follow(world: World, scene: Scene) -> None:
    await insert(world, "followers", _id={"u": scene.bob.id, "f": scene.ana.id})


async def unlisted_follow(world: World, _scene: Scene) -> None:
    await world.sources.database["followers"].delete_many({})


def pair(collection: str, actor_field: str, target_field: str) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await insert(world, collection, **{actor_field: scene.ana.id, target_field: scene.ana.id, "active": True})

    return run


async def block_that_ended_nothing(world: World, scene: Scene) -> None:
    await insert(world, "blocks", blocker_id=scene.ana.id, blocked_id=scene.bob.id, active=True)


async def author_pulled_without_a_switch(world: World, scene: Scene) -> None:
    await world.sources.database["users"].update_one({"_id": scene.ana.id}, {"$set": {"pulled": True}})


async def post_that_waits_for_nothing(world: World, scene: Scene) -> None:
    draft = PostDraft(images=[PostImage(upload_id=ObjectId())])
    await world.sources.publishing.create(scene.ana.id, draft, now())
    await lose_pending(world, "posts")


async def post_without_images(world: World, scene: Scene) -> None:
    await world.sources.database["posts"].update_one({"_id": scene.post.id}, {"$set": {"images": []}})


async def deleted_post_with_nothing_pending(world: World, scene: Scene) -> None:
    await world.sources.posts.delete(scene.post.id, scene.ana.id, now())
    await lose_pending(world, "posts")


async def post_of_nobody(world: World, _scene: Scene) -> None:
    await insert(
        world, "posts", author_id=ObjectId(), status="READY", deleted=False, counted=True, images=[{"renditions": []}]
    )


async def add_upload(world: World, scene: Scene) -> None:
    """The upload of the post's image, so that its files can be moved."""
    (shown,) = scene.post.images
    made = await world.sources.uploads.announce(scene.ana.id, SourceFormat.PNG, 9, "x" * 44, now())
    row = {**made.to_document(), "_id": shown.id, "status": "READY", "image": shown.to_document()}
    await world.sources.database["uploads"].delete_one({"_id": made.id})
    await insert(world, "uploads", **(row | {"post_id": scene.post.id}))


async def public_post_of_a_private_account(world: World, scene: Scene) -> None:
    await add_upload(world, scene)
    await world.sources.database["users"].update_one({"_id": scene.ana.id}, {"$set": {"is_private": True}})


def upload(**values: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await world.sources.uploads.announce(scene.ana.id, SourceFormat.PNG, 9, "x" * 44, now())
        await lose_pending(world, "uploads", **values)

    return run


async def post_of_an_older_version(world: World, _scene: Scene) -> None:
    for name in ("topics", "topic_posts"):
        await world.sources.database[name].delete_many({})
    await world.sources.database["posts"].update_many({}, {"$unset": {"listed": ""}})


async def without_words(world: World, _scene: Scene) -> None:
    assert (await world.sources.database["caption_terms"].delete_many({})).deleted_count


async def words_of_nothing(world: World, scene: Scene) -> None:
    await insert(world, "caption_terms", author_id=scene.ana.id, is_open=True, language="en", terms=["x"])


async def listed_post_of_nobody(world: World, _scene: Scene) -> None:
    await insert(world, "topic_posts", topic_id=ObjectId(), post_id=ObjectId(), listed=True, counted=False, score=1)


async def place_where_a_post_is(world: World, _scene: Scene) -> None:
    place = {"kind": "PLACE", "name": "Home", "name_key": "home", "post_count": 0}
    point, id_ = Point(52.5201, 13.4001), place_id("home", cell_of(Point(52.5201, 13.4001)))
    shown = {"point": to_geojson(point), "search": search_fields(place)}
    await insert(world, "topics", _id=id_, **place, **shown, expires_at=now() + timedelta(days=1))


async def feed_without_the_post(world: World, _scene: Scene) -> None:
    await world.sources.database["feed_entries"].delete_many({})


def feed_that_is_pulled_and(**more: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        change = {"$set": {"pulled": True, **more}, "$unset": {"floor": "", "refresh_at": ""}}
        await world.sources.database["feeds"].update_one({"_id": scene.bob.id}, change)

    return run


def lost_notification(kind: str) -> Break:
    async def run(world: World, _scene: Scene) -> None:
        await world.sources.database["notifications"].delete_many({"kind": kind})

    return run


async def saved(world: World, scene: Scene) -> ObjectId:
    """Bob saves ana's post in a collection, whose id this is."""
    values = {"name": "light", "is_public": False}
    made = await world.sources.saved.collections.create(scene.bob.id, values, now(), None)
    await world.sources.saved.posts.save(scene.bob.id, scene.post.id, now(), [made.id])
    return made.id


def miscounted(collection: str, field: str) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await saved(world, scene)
        await world.sources.database[collection].update_many({}, {"$inc": {field: 3}})

    return run


def without(collection: str) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await saved(world, scene)
        await world.sources.database[collection].delete_many({})

    return run


def save(**fields: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await saved(world, scene)
        whole = {"saver_id": scene.bob.id, "post_id": ObjectId(), "saved_at": now()}
        await insert(world, "saves", **whole | fields)

    return run


def of_nobody(collection: str, **fields: Any) -> Break:
    async def run(world: World, _scene: Scene) -> None:
        await insert(world, collection, **{"_id": ObjectId(), "created_at": now(), "deleted": False, **fields})

    return run


async def tag_listed_for_nobody(world: World, scene: Scene) -> None:
    await insert(world, "tagged_posts", _id={"u": scene.bob.id, "p": scene.post.id})


async def tag_unlisted(world: World, scene: Scene) -> None:
    await store_files(world, await world.post(scene.ana, tagged=[scene.bob]))
    await world.drain()
    await world.sources.database["tagged_posts"].delete_many({})


async def lost_index(world: World, _scene: Scene) -> None:
    await world.sources.database["sessions"].drop_index("user_id_1__id_-1")
