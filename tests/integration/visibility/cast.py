"""The cast: people who stand to each other in every way there is, and everything that they made, liked and said."""

from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from domain.errors import UserErrorCode
from domain.ids import from_global_id, to_global_id
from domain.records.posts import PostDraft, PostImage, PostRecord
from domain.records.uploads import FailureRecord
from domain.records.users import UserRecord, UserState
from schema.notification import type_name_of
from tests.integration.visibility.facts import NOBODY, Comment, Facts, Name, Notice, Post, Seen
from tests.support.factories import World, image, now

HOST = "host"  # has no quarrel with anybody
TARGETS = ("suspended", "deleted", "private", "public")
VIEWERS = ("stranger", "follower", "asker", "blocked", "blocker", "at_odds", "muter")
EVERYBODY = (HOST, *VIEWERS, *TARGETS)  # the targets speak last, so that their comments are the previews
AUTHORS = (HOST, *TARGETS)
TAGGED = (*TARGETS, "blocked", "blocker")  # of whom some will not want to do with an author any more


@dataclass
class Cast:
    """The people in the stores, and the facts about them."""

    world: World
    records: dict[Name, UserRecord] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    seen: dict[Name | None, Seen] = field(default_factory=dict)

    @classmethod
    async def made(cls, world: World, *, applied: bool) -> "Cast":
        """Everybody meets while all doors are open; then doors are shut. Unless `settled`, no worker has come since.

        Nor has any since one of them deleted their account, at the very last.
        """
        cast = cls(world)
        await cast._register()
        await cast._follow()
        for author in AUTHORS:
            await cast._publish(author)
        await cast._host_gets_likes_of_a_comment()
        await world.drain()
        await cast._write_down_notices()
        await cast._shut_doors()
        if applied:
            await world.drain()
            facts = cast.facts
            facts.images |= {post.image: NOBODY for post in facts.posts.values() if post.deleted and post.image}
        await world.sources.users.delete(cast.records["deleted"].id, now())
        return cast

    def viewer(self, name: Name | None) -> UserRecord | None:
        """The account that looks; None for nobody."""
        return None if name is None else self.records[name]

    async def _register(self) -> None:
        for name in EVERYBODY:
            user = self.records[name] = await self.world.user(is_private=name == "private")
            self.facts.people[name] = to_global_id("User", user.id)
            session, _ = await self.world.sources.sessions.open(user.id, name, now())
            self.facts.sessions[to_global_id("Session", session.id)] = name
            self.facts.accounts[to_global_id("Viewer", user.id)] = name
        self.facts.private.add("private")
        for name in AUTHORS:
            avatar = await self._upload(name, used_as_avatar=True)
            await self.world.sources.users.update_profile(self.records[name].id, {"avatar": image(avatar)})
            self.facts.avatars[to_global_id("Image", avatar)] = name
            await self._upload(name)

    async def _upload(self, owner: Name, upload_id: ObjectId | None = None, **more: Any) -> ObjectId:
        """An upload that became an image, of which there are no bytes; an unready one with `image=None`."""
        upload_id = upload_id or ObjectId()
        document = {
            "_id": upload_id,
            "owner_id": self.records[owner].id,
            "status": "READY",
            "format": "JPEG",
            "byte_size": 9,
            "sha256": "",
            "key": str(upload_id),
            "created_at": now(),
            "expires_at": now(),
            "image": image(upload_id).to_document(),
            **more,
        }
        await self.world.sources.database["uploads"].insert_one(document)
        self.facts.uploads[to_global_id("MediaUpload", upload_id)] = owner
        if document["image"]:
            self.facts.images[to_global_id("Image", upload_id)] = owner
        return upload_id

    async def _follow(self) -> None:
        pairs = [
            (viewer, target) for viewer in ("follower", "blocked", "blocker", "at_odds", "muter") for target in TARGETS
        ]
        pairs += [(HOST, "public"), (HOST, "private"), ("public", HOST), ("private", HOST), ("suspended", HOST)]
        pairs += [("suspended", "public"), ("stranger", HOST), ("public", "blocked"), ("public", "blocker")]
        for follower, followee in pairs:
            await self.world.follow(self.records[follower], self.records[followee])
            if followee == "private":
                ids = self.records[follower].id, self.records[followee].id
                await self.world.sources.follows.accept(*ids, now=now())
        await self.world.follow(self.records["asker"], self.records["private"])
        self.facts.follows |= set(pairs)
        self.facts.asks.add(("asker", "private"))

    async def _publish(self, author: Name) -> None:
        """A post in each state; likes and comments of everybody on the ready one."""
        publishing = self.world.sources.publishing
        ready = await self._ready(author)
        for name in EVERYBODY:
            await self._say(ready, name)
        for target in TARGETS if author == HOST else ():
            by_target = next(one for one in ready.comments if one.author == target and one.parent is None)
            await self._say(ready, "stranger", by_target)
            await self._say(ready, target, ready.comments[0])
        retracted = await self._say(ready, "stranger")
        await self.world.sources.comments.delete(_id(retracted.gid), now())
        retracted.deleted = True
        for status in ("PROCESSING", "FAILED"):
            upload_id = await self._upload(author, status="AWAITING_BYTES", image=None)
            draft = PostDraft(images=[PostImage(upload_id=upload_id)])
            made = await publishing.create(self.records[author].id, draft, now())
            self._note(Post(to_global_id("Post", made.id), author, status))
            if status == "FAILED":
                await publishing.fail(made.id, FailureRecord(code=UserErrorCode.IMAGE_CORRUPT, message="!"), now())
        gone = await self._ready(author)
        await self._say(gone, "stranger")
        gone.deleted = True

    async def _ready(self, author: Name) -> Post:
        everybody, targets = [self.records[one] for one in EVERYBODY], [self.records[one] for one in TARGETS]
        ids = [one.id for one in targets]
        tagged = [self.records[one] for one in TAGGED]
        made: PostRecord = await self.world.post(self.records[author], tagged=tagged, mention_ids=ids)
        shown = await self._upload(author, made.images[0].id)
        for fan in everybody:
            await self.world.sources.post_likes.like(made.id, fan.id, now())
        post = Post(to_global_id("Post", made.id), author, image=to_global_id("Image", shown))
        post.likers, post.people, post.tagged = list(EVERYBODY), list(TARGETS), list(TAGGED)
        return self._note(post)

    def _note(self, post: Post) -> Post:
        self.facts.posts[post.gid] = post
        return post

    async def _say(self, post: Post, author: Name, parent: Comment | None = None) -> Comment:
        """A comment that mentions every target."""
        (about,) = await self.world.sources.posts.by_ids([_id(post.gid)])
        assert about is not None
        mentioned = [self.records[one].id for one in TARGETS]
        above = None if parent is None else _id(parent.gid)
        made = await self.world.comment(about, self.records[author], mention_ids=mentioned, parent_id=above)
        comment = Comment(to_global_id("Comment", made.id), author, post, parent, mentions=list(TARGETS))
        self.facts.comments[comment.gid] = comment
        post.comments.append(comment)
        return comment

    async def _host_gets_likes_of_a_comment(self) -> None:
        said = next(one for one in self.facts.comments.values() if one.author == HOST and one.post.author == HOST)
        for fan in EVERYBODY:
            await self.world.sources.comment_likes.like(_id(said.gid), self.records[fan].id, now())

    async def _write_down_notices(self) -> None:
        names = {user.id: name for name, user in self.records.items()}
        for name, user in self.records.items():
            for one in await self.world.sources.notifications.changed_after(user.id, 0, 10_000):
                gid = to_global_id(type_name_of(one), one.id)
                post = one.post_id and to_global_id("Post", one.post_id)
                comment = one.comment_id and to_global_id("Comment", one.comment_id)
                actors = [names[actor] for actor in one.actor_ids]
                notice = Notice(gid, name, one.seq, actors, one.actor_count, post or None, comment or None)
                if not one.withdrawn:
                    self.facts.notices[gid] = notice

    async def _shut_doors(self) -> None:
        sources, facts = self.world.sources, self.facts
        for post in facts.posts.values():
            if post.deleted:
                await sources.posts.delete(_id(post.gid), self.records[post.author].id, now())
        for comment in facts.comments.values():
            if comment.author == "muter" and comment.post.author == HOST:
                await sources.database["comments"].update_one({"_id": _id(comment.gid)}, {"$set": {"hidden": True}})
                comment.hidden = True
        for target in TARGETS:
            await sources.mutes.mute(self.records["muter"].id, self.records[target].id)
            facts.mutes.add(("muter", target))
            for blocker, blocked in (
                (target, "blocked"),
                ("blocker", target),
                ("at_odds", target),
                (target, "at_odds"),
            ):
                await sources.blocks.block(self.records[blocker].id, self.records[blocked].id, now=now())
                facts.blocks.add((blocker, blocked))
                facts.follows -= {(blocker, blocked), (blocked, blocker)}
        suspension = {"$set": {"state": UserState.SUSPENDED.value}}
        await sources.database["users"].update_one({"_id": self.records["suspended"].id}, suspension)
        facts.gone |= {"suspended", "deleted"}


def _id(gid: str) -> ObjectId:
    return from_global_id(gid)[1]
