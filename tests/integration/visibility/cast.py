"""People in every relation to each other, and everything that they posted, liked and wrote."""

import random
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bson import ObjectId

from datasources.moderation.deciding import Ruling
from datasources.mongo.sharded_ids import new_id
from domain.access_scopes import AccessScope
from domain.errors import UserErrorCode
from domain.ids import from_global_id, to_global_id
from domain.places import Point, cell_of, name_key, place_id
from domain.records.factors import PasskeyRecord
from domain.records.moderation import ModerationAction, ReportReason, ReportTargetType, Target
from domain.records.notifications import NotificationKind
from domain.records.posts import LocationRecord, PostDraft, PostImage, PostRecord
from domain.records.uploads import FailureRecord
from domain.records.users import AccountStanding, Device, Role, UserRecord
from domain.topics import hashtag_id
from schema.notification import type_name_of
from tests.integration.visibility.scene import (
    NOBODY,
    Case,
    Collection,
    Comment,
    Entry,
    Gid,
    Name,
    Notification,
    Post,
    Scene,
    Shown,
)
from tests.support.factories import World, image, now
from tests.support.uploads import insert_upload

HOST = "host"  # blocks nobody and is blocked by nobody
TARGETS = ("away", "suspended", "deleted", "private", "public")
MODERATORS = ("moderator", "banned_moderator")
VIEWERS = ("stranger", "follower", "asker", "blocked", "blocker", "both_block", "muter", *MODERATORS)
EVERYBODY = (HOST, *VIEWERS, *TARGETS)  # targets comment last, so that their comments are the previews
AUTHORS = (HOST, *TARGETS)
MODERATED = (HOST, "private", "suspended")  # authors of posts that moderators hide, remove or label
STATUSES = {"HIDDEN": ModerationAction.HIDE, "REMOVED": ModerationAction.REMOVE}
PENDING = ("stranger", "follower")  # who has yet to approve tags
TAGGED = (*TARGETS, "blocked", "blocker", *PENDING)  # some of them block an author later


def somewhere() -> LocationRecord:
    """A place of its own, far from all others."""
    return LocationRecord(
        name=f"sea{ObjectId()}", latitude=random.uniform(-80, 80), longitude=random.uniform(-180, 180)
    )


@dataclass
class Cast:
    """The people in the stores, and the scene that describes them."""

    world: World
    records: dict[Name, UserRecord] = field(default_factory=dict)
    scene: Scene = field(default_factory=Scene)
    shown: dict[Name | None, Shown] = field(default_factory=dict)
    location: LocationRecord = field(default_factory=somewhere)

    @classmethod
    async def create(cls, world: World, *, applied: bool) -> "Cast":
        """Makes everything while nobody blocks anybody; then blocks, mutes, and those who are gone or away follow.

        Without `applied`, no worker has handled these. No worker has handled the deleted account, which comes last.
        """
        cast = cls(world)
        name = f"sea{ObjectId()}"
        cast.scene.hashtags[to_global_id("Hashtag", hashtag_id(name))] = name
        cell = cell_of(Point(cast.location.latitude or 0.0, cast.location.longitude or 0.0))
        cast.scene.places.add(to_global_id("Place", place_id(name_key(cast.location.name), cell)))
        await cast._register()
        await cast._follow()
        for author in AUTHORS:
            await cast._publish(author)
        await cast._like_comment_of_host()
        await cast._save()
        await world.drain()
        await cast._record_notifications()
        posts = [_id(gid) for gid in cast.scene.posts]
        await world.sources.discovery.snapshots.add(posts, list(cast.scene.hashtags.values()), now())
        await cast._hide()
        if applied:
            await world.drain()
            await cast._record_notifications([NotificationKind.DECIDED])
            scene = cast.scene
            for ended in (scene.sessions, scene.access_tokens):
                ended.update(dict.fromkeys([gid for gid, name in ended.items() if name == "away"], NOBODY))
            for post in scene.posts.values():
                if post.author in scene.hidden_accounts or post.status != "READY":
                    post.place = None
            scene.images |= {post.image: NOBODY for post in scene.posts.values() if post.deleted and post.image}
        await world.sources.users.delete(cast.records["deleted"].id, now())
        cast.scene.deleted.add("deleted")
        return cast

    def viewer(self, name: Name | None) -> UserRecord | None:
        """A viewer's account, or None without a session."""
        return None if name is None else self.records[name]

    async def _register(self) -> None:
        for name in EVERYBODY:
            user = self.records[name] = await self.world.user(is_private=name == "private")
            self.scene.people[name] = to_global_id("User", user.id)
            session, _ = await self.world.sources.sessions.open(user.id, Device(client_name=name), now())
            self.scene.sessions[to_global_id("Session", session.id)] = name
            await self.world.sources.account.exports.request(user.id, now())
            self.scene.exports[to_global_id("Export", user.id)] = name
            token, _ = await self.world.sources.access_tokens.create(
                session, "a program", [AccessScope.READ], lifetime=timedelta(days=1), now=now()
            )
            self.scene.access_tokens[to_global_id("AccessToken", token.id)] = name
            times = {"created_at": now(), "last_used_at": now()}
            passkey = PasskeyRecord.from_document(
                {"id": ObjectId(), "name": "phone", "credential_id": name.encode(), "public_key": b"", **times}
            )
            await self.world.sources.factors.stored.add_passkey(user.id, passkey)
            self.scene.passkeys[to_global_id("Passkey", passkey.id)] = name
            await self.world.sources.factors.identities.link(user.id, "https://issuer.example", str(user.id), now())
            (identity,) = (await self.world.sources.factors.stored.of_user(user.id)).identities
            self.scene.identities[to_global_id("LinkedIdentity", identity.id)] = name
            self.scene.accounts[to_global_id("Viewer", user.id)] = name
        for name in MODERATORS:
            await self.world.sources.moderation.deciding.set_role(self.records[name].id, Role.MODERATOR, now())
            self.records[name] = await self.world.stored_user(self.records[name].id)
            self.scene.log.append(Entry(name))
        self.scene.moderators.update(MODERATORS)
        self.scene.private.add("private")
        for name in AUTHORS:
            avatar = await self._upload(name, used_as_avatar=True)
            await self.world.sources.users.update_profile(self.records[name].id, {"avatar": image(avatar)})
            self.scene.avatars[to_global_id("Image", avatar)] = name
            await self._upload(name)

    async def _upload(self, owner: Name, upload_id: ObjectId | None = None, **more: Any) -> ObjectId:
        """An upload that became an image, without files; with `image=None` it is not ready."""
        upload_id = upload_id or new_id(self.records[owner].id)
        await insert_upload(self.world, image(upload_id), self.records[owner].id, **more)
        self.scene.uploads[to_global_id("MediaUpload", upload_id)] = owner
        if more.get("image", True):
            self.scene.images[to_global_id("Image", upload_id)] = owner
        return upload_id

    async def _follow(self) -> None:
        pairs = [
            (viewer, target)
            for viewer in ("follower", "blocked", "blocker", "both_block", "muter")
            for target in TARGETS
        ]
        pairs += [(HOST, "public"), (HOST, "private"), ("public", HOST), ("private", HOST), ("suspended", HOST)]
        pairs += [
            ("away", HOST),
            ("away", "public"),
            ("suspended", "public"),
            ("suspended", "private"),
            ("stranger", HOST),
            ("public", "blocked"),
            ("public", "blocker"),
        ]
        for follower, followee in pairs:
            await self.world.follow(self.records[follower], self.records[followee])
            if followee == "private":
                ids = self.records[follower].id, self.records[followee].id
                await self.world.sources.follows.accept(*ids, now=now())
        await self.world.follow(self.records["asker"], self.records["private"])
        self.scene.follows |= set(pairs)
        self.scene.requests.add(("asker", "private"))
        for follower in ("stranger", "muter", "public", "both_block"):
            for gid, name in self.scene.hashtags.items():
                await self.world.sources.followed_hashtags.follow(self.records[follower].id, name)
                self.scene.followed_hashtags.add((follower, gid))

    async def _publish(self, author: Name) -> None:
        """A post in each state, with likes and comments of everybody on the ready one."""
        publishing = self.world.sources.publishing
        ready = await self._ready(author)
        for name in EVERYBODY:
            await self._comment(ready, name)
        for target in TARGETS if author == HOST else ():
            by_target = next(
                comment for comment in ready.comments if comment.author == target and comment.parent is None
            )
            await self._comment(ready, "stranger", by_target)
            await self._comment(ready, target, ready.comments[0])
        retracted = await self._comment(ready, "stranger")
        await self.world.sources.comments.delete(_id(retracted.gid), now())
        retracted.deleted = True
        for status in ("PROCESSING", "FAILED"):
            upload_id = await self._upload(author, status="AWAITING_BYTES", image=None)
            draft = PostDraft(images=[PostImage(upload_id=upload_id)])
            made = await publishing.create(self.records[author].id, draft, now())
            self._record(Post(to_global_id("Post", made.id), author, status))
            if status == "FAILED":
                await publishing.fail(made.id, FailureRecord(code=UserErrorCode.IMAGE_CORRUPT, message="!"), now())
        deleted = await self._ready(author)
        await self._comment(deleted, "stranger")
        deleted.deleted = True
        if author in MODERATED:
            by_stranger = next(comment for comment in ready.comments if comment.author == "stranger")
            await self._comment(ready, "follower", by_stranger)
            for status in STATUSES:
                moderated = await self._ready(author)
                await self._comment(moderated, "stranger")
                moderated.status = status
            labelled = await self._ready(author)
            await self._comment(labelled, "stranger")
            labelled.sensitive = True

    async def _ready(self, author: Name) -> Post:
        everybody, targets = [self.records[name] for name in EVERYBODY], [self.records[name] for name in TARGETS]
        ids = [target.id for target in targets]
        tagged = [self.records[name] for name in TAGGED]
        names = list(self.scene.hashtags.values())
        made: PostRecord = await self.world.post(
            self.records[author],
            caption=f"At the {' '.join(names)}",
            tagged=tagged,
            pending=[self.records[name].id for name in PENDING],
            mention_ids=ids,
            hashtags=names,
            location=self.location,
        )
        shown = await self._upload(author, made.images[0].id)
        for fan in everybody:
            await self.world.sources.post_likes.like(made.id, fan.id, now())
        post = Post(to_global_id("Post", made.id), author, image=to_global_id("Image", shown))
        post.hashtags = list(self.scene.hashtags)
        post.place = None if author in self.scene.private else next(iter(self.scene.places))
        post.likers, post.mentioned, post.tagged = list(EVERYBODY), list(TARGETS), list(TAGGED)
        post.pending = list(PENDING)
        return self._record(post)

    def _record(self, post: Post) -> Post:
        self.scene.posts[post.gid] = post
        return post

    async def _comment(self, post: Post, author: Name, parent: Comment | None = None) -> Comment:
        """A comment that mentions every target."""
        (about,) = await self.world.sources.posts.by_ids([_id(post.gid)])
        assert about is not None
        mentioned = [self.records[name].id for name in TARGETS]
        above = None if parent is None else _id(parent.gid)
        made = await self.world.comment(about, self.records[author], mention_ids=mentioned, parent_id=above)
        comment = Comment(to_global_id("Comment", made.id), author, post, parent, mentions=list(TARGETS))
        self.scene.comments[comment.gid] = comment
        post.comments.append(comment)
        return comment

    async def _like_comment_of_host(self) -> None:
        comments = self.scene.comments.values()
        own = next(comment for comment in comments if comment.author == HOST and comment.post.author == HOST)
        for fan in EVERYBODY:
            await self.world.sources.comment_likes.like(_id(own.gid), self.records[fan].id, now())

    async def _save(self) -> None:
        """Everybody saves every ready post. Authors have a public and a private collection with all of them."""
        saved = self.world.sources.saved
        posts = [post for post in self.scene.posts.values() if post.image is not None]
        for name in EVERYBODY:
            owner_id, mine = self.records[name].id, list[Collection]()
            for is_public in (True, False) if name in AUTHORS else ():
                values = {"name": "light", "is_public": is_public}
                made = await saved.collections.create(owner_id, values, now(), None)
                shared = await saved.collections.update(owner_id, made.id, {}, is_shared=True)
                gid = to_global_id("Collection", made.id)
                mine.append(Collection(gid, name, is_public, posts, posts[0], shared.share_key or ""))
                self.scene.collections[gid] = mine[-1]
            for post in posts:
                ids = [_id(collection.gid) for collection in mine]
                await saved.posts.save(owner_id, _id(post.gid), now(), ids)
            for collection in mine:
                cover = {"cover_post_id": _id(posts[0].gid)}
                await saved.collections.update(owner_id, _id(collection.gid), cover)
            self.scene.saves[name] = posts

    async def _record_notifications(self, kinds: Container[NotificationKind] = tuple(NotificationKind)) -> None:
        names = {user.id: name for name, user in self.records.items()}
        for name, user in self.records.items():
            for record in await self.world.sources.notifications.changed_after(user.id, 0, 10_000):
                gid = to_global_id(type_name_of(record), record.id)
                post = record.post_id and to_global_id("Post", record.post_id)
                comment = record.comment_id and to_global_id("Comment", record.comment_id)
                decision = record.decision_id and to_global_id("Decision", record.decision_id)
                actors = [names[actor] for actor in record.actor_ids]
                notification = Notification(
                    gid, name, record.seq, actors, record.actor_count, post or None, comment or None, decision or None
                )
                if not record.withdrawn and record.kind in kinds:
                    self.scene.notifications[gid] = notification

    async def _hide(self) -> None:
        sources, scene = self.world.sources, self.scene
        for post in scene.posts.values():
            if post.deleted:
                await sources.posts.delete(_id(post.gid), self.records[post.author].id, now())
        for comment in scene.comments.values():
            if comment.author == "muter" and comment.post.author == HOST:
                await sources.database["comments"].update_one({"_id": _id(comment.gid)}, {"$set": {"hidden": True}})
                comment.hidden = True
        for target in TARGETS:
            await sources.mutes.mute(self.records["muter"].id, self.records[target].id)
            scene.mutes.add(("muter", target))
            for blocker, blocked in (
                (target, "blocked"),
                ("blocker", target),
                ("both_block", target),
                (target, "both_block"),
            ):
                await sources.blocks.block(self.records[blocker].id, self.records[blocked].id, now=now())
                scene.blocks.add((blocker, blocked))
                scene.follows -= {(blocker, blocked), (blocked, blocker)}
        await self._moderate()
        self.records["suspended"] = await self.world.set_standing(self.records["suspended"], AccountStanding.SUSPENDED)
        scene.suspended.add("suspended")
        await sources.account.deactivation.deactivate(self.records["away"].id, now(), session_id=ObjectId())
        scene.hidden_accounts |= {"away", "suspended", "deleted"}

    async def _moderate(self) -> None:
        """Decisions about posts, comments and people; cases that wait for one, and cases that are closed."""
        for post in list(self.scene.posts.values()):
            if post.status in STATUSES:
                await self._decide(ReportTargetType.POST, post.gid, post.author, STATUSES[post.status])
            if post.sensitive:
                await self._decide(ReportTargetType.POST, post.gid, post.author, ModerationAction.LABEL_SENSITIVE)
        for comment in list(self.scene.comments.values()):
            is_below = comment.post.author in MODERATED and comment.post.status == "READY" and not comment.post.deleted
            is_moderated = is_below and not comment.post.sensitive and comment.parent is None and not comment.deleted
            if is_moderated and comment.author in ("asker", "stranger"):
                comment.hidden, comment.removed = True, comment.author == "stranger"
                action = ModerationAction.REMOVE if comment.removed else ModerationAction.HIDE
                await self._decide(ReportTargetType.COMMENT, comment.gid, comment.author, action)
        banned = self.scene.people["banned_moderator"]
        await self._decide(ReportTargetType.USER, banned, "banned_moderator", ModerationAction.BAN)
        self.records["banned_moderator"] = await self.world.stored_user(_id(banned))
        for ended in (self.scene.sessions, self.scene.access_tokens):
            ended.update(dict.fromkeys([gid for gid, name in ended.items() if name == "banned_moderator"], NOBODY))
        self.scene.suspended.add("banned_moderator")
        self.scene.hidden_accounts.add("banned_moderator")
        await self._report()
        await self._appeal()

    async def _decide(self, kind: ReportTargetType, gid: Gid, subject: Name, action: ModerationAction) -> None:
        """A decision of the moderator, whose case is closed with it."""
        moderation, scene = self.world.sources.moderation, self.scene
        target = Target(id=_id(gid), type=kind, subject_id=self.records[subject].id)
        by = self.records["moderator"].id
        ruling = Ruling(target=target, action=action, moderator_id=by, statement="not here")
        decision = await moderation.deciding.decide(ruling, now())
        assert decision.case_id is not None
        scene.decisions[to_global_id("Decision", decision.id)] = subject
        scene.cases[to_global_id("ModerationCase", decision.case_id)] = Case(gid, subject, is_open=False)
        scene.log.append(Entry(subject, "moderator"))

    async def _report(self) -> None:
        """Open cases about everything that moderators see and others may not."""
        scene, moderation = self.scene, self.world.sources.moderation
        removed_post = next(
            post for post in scene.posts.values() if post.status == "REMOVED" and post.author == "private"
        )
        deleted_post = next(post for post in scene.posts.values() if post.deleted and post.author == HOST)
        removed_comment = next(comment for comment in scene.comments.values() if comment.removed)
        about: list[tuple[ReportTargetType, Gid, Name, list[Name]]] = [
            (ReportTargetType.USER, scene.people[name], name, reporters)
            for name, reporters in {
                HOST: ["stranger", "deleted", "away", "banned_moderator"],
                "suspended": ["blocker"],
                "away": ["blocked"],
                "deleted": ["follower"],
                "moderator": ["stranger"],
            }.items()
        ]
        about += [
            (ReportTargetType.POST, removed_post.gid, "private", ["suspended"]),
            (ReportTargetType.POST, deleted_post.gid, HOST, ["follower"]),
            (ReportTargetType.COMMENT, removed_comment.gid, removed_comment.author, ["follower"]),
        ]
        for kind, gid, subject, reporters in about:
            target = Target(id=_id(gid), type=kind, subject_id=self.records[subject].id)
            for name in reporters:
                await moderation.reports.report(self.records[name].id, target, ReportReason.SPAM, "", now())
            case = await moderation.cases.open_about(target.id)
            assert case is not None
            scene.cases[to_global_id("ModerationCase", case.id)] = made = Case(gid, subject, reporters)
            if gid == removed_post.gid:
                await moderation.cases.claim(case.id, self.records["moderator"].id, now(), release=False)
                made.claimed_by = "moderator"

    async def _appeal(self) -> None:
        """An appeal of the host against a decision."""
        scene, decisions = self.scene, self.world.sources.moderation.decisions
        gid = next(gid for gid, name in scene.decisions.items() if name == HOST)
        (decision,) = await decisions.by_ids([_id(gid)])
        assert decision is not None
        await decisions.appeal(decision, "I beg to differ", now())
        case = await self.world.sources.moderation.cases.open_about(decision.id)
        assert case is not None
        target = to_global_id("Post", decision.target_id)
        appealed = Case(target, HOST, appealed=Entry(HOST, "moderator"))
        scene.cases[to_global_id("ModerationCase", case.id)] = appealed
        scene.log.append(Entry(HOST))


def _id(gid: str) -> ObjectId:
    return from_global_id(gid)[1]
