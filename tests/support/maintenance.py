"""A small scene for the maintenance commands, and what `verify` finds in it."""

from bson import ObjectId

from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.auditing import store_files
from tests.support.factories import World, now
from workers.maintenance.checks.check import Finding
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk

HASHTAG = "sea"


class Scene:
    """Bob follows Ana, likes her post, which has a hashtag, and comments on it. Ana likes and answers his comment."""

    ana: UserRecord
    bob: UserRecord
    post: PostRecord
    comment_id: ObjectId

    @classmethod
    async def applied(cls, world: World) -> "Scene":
        """The scene with nothing pending and its files in storage."""
        scene = cls()
        scene.ana, scene.bob = await world.users(2)
        await world.open_feeds(scene.ana, scene.bob)
        await world.follow(scene.bob, scene.ana)
        scene.post = await world.post(scene.ana, caption="A picture", hashtags=[HASHTAG])
        await store_files(world, scene.post)
        await world.sources.post_likes.like(scene.post.id, scene.bob.id, now())
        comment = await world.comment(scene.post, scene.bob)
        await world.comment(scene.post, scene.ana, parent_id=comment.id)
        await world.sources.comment_likes.like(comment.id, scene.ana.id, now())
        await world.drain()
        scene.comment_id = comment.id
        return scene


async def find_faults(world: World, sample: int | None = None) -> list[Finding]:
    return (await verify(Walk(sources=world.sources, sample=sample))).findings
