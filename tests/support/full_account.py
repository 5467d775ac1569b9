"""An account with data in every collection, and the accounts that it has dealt with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency
from datasources.mail.outbox import MailOutbox, MailOutcome
from datasources.media.images import Move
from datasources.moderation.deciding import Ruling
from datasources.mongo.sharded_ids import new_id
from domain.jobs import Fact, Job, Task
from domain.mails import MailKind, TokenPurpose
from domain.records.comments import CommentRecord
from domain.records.discovery import HeldKind
from domain.records.images import TagRecord
from domain.records.moderation import ModerationAction, ReportReason, ReportTargetType, Target
from domain.records.posts import LocationRecord, PostDraft, PostImage, PostRecord
from domain.records.uploads import UploadStatus
from domain.records.users import Device, Role, UserRecord
from domain.visibility import Area
from tests.support.factories import World, image, now
from tests.support.moderating import decide


@dataclass(frozen=True, kw_only=True)
class FullAccount:
    """Ana, who has done everything, and those with whom she has done it."""

    ana: UserRecord
    bob: UserRecord
    others: Sequence[UserRecord]
    post: PostRecord
    bobs_post: PostRecord
    comment: CommentRecord
    collection_id: ObjectId
    uploads: Sequence[ObjectId]


def remove_final_check_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the final check of a deleted account come at once."""
    monkeypatch.setattr("workers.handlers.delete_account.final_check_delay", lambda _settings: timedelta(0))


async def create_upload(
    world: World, owner: UserRecord, status: UploadStatus = UploadStatus.READY, **fields: Any
) -> ObjectId:
    """An upload with objects in both buckets. One that is not ready has none in the media bucket."""
    upload_id, made = new_id(owner.id), now()
    shown = image(upload_id, Area.PRIVATE if owner.is_private else Area.PUBLIC)
    document: dict[str, Any] = {
        "_id": upload_id,
        "owner_id": owner.id,
        "status": status.value,
        "format": "PNG",
        "byte_size": 9,
        "sha256": "",
        "key": str(upload_id),
        "created_at": made,
        "expires_at": made + timedelta(minutes=15),
        **fields,
    }
    await world.sources.blobs.put_incoming(str(upload_id), b"what was sent", "image/png")
    if status is UploadStatus.READY:
        document["image"] = shown.to_document()
        for rendition in shown.renditions:
            await world.sources.blobs.put_media(rendition.key, b"a picture", "image/jpeg")
    else:
        document |= {"outbox": [Task.INGEST.value], "pending_since": made, "due_at": made, "enqueues": 0}
    await world.sources.database["uploads"].insert_one(document)
    return upload_id


async def create_full_account(world: World, *, is_private: bool = False) -> FullAccount:
    """Ana's account. Nothing is pending but what has just begun: a post and an upload whose files are not sent yet."""
    ana = await world.user(is_private=is_private)
    bob, cat, eve, fay, mal = await world.users(5)
    dora = await world.user(is_private=True)
    await _create_relations(world, ana, [bob, cat, eve, fay, mal, dora])
    post = await create_post_with_files(world, ana, [await create_upload(world, ana) for _ in range(2)], [bob])
    bobs_post = await create_post_with_files(world, bob, [await create_upload(world, bob)], [ana, cat])
    comment = await _create_dialogue(world, ana, bob, cat, post, bobs_post)
    collection_id = await _save(world, ana, bob, post, bobs_post)
    await world.open_feeds(ana, bob, cat)
    await _create_reading_state(world, ana, bob, bobs_post)
    await _create_moderation(world, ana, bob, cat, post)
    face = await create_upload(world, ana, used_as_avatar=True)
    await world.sources.users.update_profile(ana.id, {"avatar": image(face), "biography": "about me"})
    await world.drain()
    uploads = [*(image_input.upload_id for image_input in post.image_inputs), face]
    return FullAccount(
        ana=await world.stored_user(ana.id),
        bob=bob,
        others=[bob, cat, eve, fay, mal, dora],
        post=post,
        bobs_post=bobs_post,
        comment=comment,
        collection_id=collection_id,
        uploads=[*uploads, *await _begin_uploads(world, ana)],
    )


async def _create_relations(world: World, ana: UserRecord, others: Sequence[UserRecord]) -> None:
    bob, cat, eve, fay, mal, dora = others
    sources = world.sources
    for follower, followee in ((bob, ana), (cat, ana), (ana, bob), (ana, dora), (ana, fay), (fay, ana)):
        await world.follow(follower, followee)
    if ana.is_private:
        await world.drain()
        for follower in (bob, fay):  # cat's request stays open
            await sources.follows.accept(follower.id, ana.id, now=now())
    else:
        await sources.follows.accept(ana.id, dora.id, now=now())
    await world.drain()
    await sources.follows.unfollow(ana.id, fay.id, now=now())
    await sources.follows.unfollow(fay.id, ana.id, now=now())
    await sources.blocks.block(ana.id, mal.id, now=now())
    await sources.blocks.block(eve.id, ana.id, now=now())
    await sources.mutes.mute(ana.id, fay.id)
    await sources.mutes.mute(cat.id, ana.id)
    await sources.followed_hashtags.follow(ana.id, "sea")
    await sources.discovery.dismissals.dismiss(ana.id, eve.id)
    await sources.discovery.dismissals.dismiss(bob.id, ana.id)
    await sources.discovery.suggestions.compute(ana.id, now())
    await world.drain()


async def create_post_with_files(
    world: World, author: UserRecord, upload_ids: Sequence[ObjectId], people: Sequence[UserRecord]
) -> PostRecord:
    """A ready post that mentions and tags people, with the files of its images in storage."""
    tags = [TagRecord(user_id=user.id, x=0.5, y=0.5) for user in people]
    draft = PostDraft(
        images=[PostImage(upload_id=upload_id, tagged_users=tags) for upload_id in upload_ids],
        caption="with " + " ".join(f"@{user.username}" for user in people),
        mention_ids=[user.id for user in people],
        hashtags=["sea"],
        location=LocationRecord(name="The sea", latitude=54.0, longitude=10.0),
    )
    key = Idempotency.of(f"post {upload_ids[0]}", "createPost", {})
    post = await world.sources.publishing.create(author.id, draft, now(), key)
    area = Area.PRIVATE if author.is_private else Area.PUBLIC
    images = [image(upload_id, area) for upload_id in upload_ids]
    moves = [Move(before, msgspec.structs.replace(before, tagged_users=tags)) for before in images]
    assert await world.sources.images.publish(post.id, moves, now())
    await world.drain()
    return await world.stored_post(post.id)


async def _create_dialogue(
    world: World, ana: UserRecord, bob: UserRecord, cat: UserRecord, post: PostRecord, bobs_post: PostRecord
) -> CommentRecord:
    """Comments, replies and likes of both sides. Returns ana's comment on bob's post."""
    sources = world.sources
    key = Idempotency.of(f"comment {bobs_post.id}", "addComment", {})
    comment = await world.comment(bobs_post, ana, "mine", idempotency=key)
    answer = await world.comment(bobs_post, bob, "an answer", parent_id=comment.id)
    bobs = await world.comment(bobs_post, bob, f"look, @{ana.username}", mention_ids=[ana.id, cat.id])
    await world.comment(bobs_post, ana, "a reply", parent_id=bobs.id)
    await world.comment(post, bob, "below hers")
    hidden = await world.comment(bobs_post, ana, "hidden")
    await decide(world, hidden, ModerationAction.HIDE)
    for user in (ana, cat):
        await sources.post_likes.like(bobs_post.id, user.id, now())
        await sources.comment_likes.like(bobs.id, user.id, now())
    for user in (bob, cat):
        await sources.post_likes.like(post.id, user.id, now())
        await sources.comment_likes.like(comment.id, user.id, now())
    await sources.comment_likes.like(answer.id, ana.id, now())
    await world.drain()
    await sources.comment_likes.unlike(answer.id, ana.id, now())
    gone = await world.comment(bobs_post, ana, "gone", idempotency=Idempotency.of("gone", "addComment", {}))
    await sources.comments.delete(gone.id, now())
    await world.drain()
    return comment


async def _save(world: World, ana: UserRecord, bob: UserRecord, post: PostRecord, bobs_post: PostRecord) -> ObjectId:
    """Saves and collections of both, with each other's posts; returns Ana's collection."""
    saved, made_by = world.sources.saved, dict[ObjectId, ObjectId]()
    for saver, other in ((ana, bobs_post), (bob, post)):
        values = {"name": "light", "is_public": True}
        key = Idempotency.of(f"collection of {saver.username}", "createCollection", {})
        made = await saved.collections.create(saver.id, values, now(), key)
        made_by[saver.id] = made.id
        await saved.posts.save(saver.id, other.id, now(), [made.id])
        await saved.collections.update(saver.id, made.id, {"cover_post_id": other.id}, is_shared=True)
    return made_by[ana.id]


async def _create_reading_state(world: World, ana: UserRecord, bob: UserRecord, bobs_post: PostRecord) -> None:
    """Visits, interests, a ranking, how far a feed was read, sessions, mails, a failure."""
    sources = world.sources
    for visitor, visited in ((ana, bob), (bob, ana)):
        await sources.visits.add(visitor.id, visited.id, now())
        await sources.interests.get_or_compute(visitor.id, now())
    await sources.account.exports.request(ana.id, now())
    await sources.rankings.keep(ana.id, [bobs_post.id], now())
    await sources.discovery.holds.put(ana.id, HeldKind.USER, "ana", is_held=True, reason="spam", now=now())
    await sources.feed_listeners.set_read(ana.id, bobs_post.id)
    await sources.factors.one_time_codes.begin(ana.id, now())
    await sources.factors.identities.link(ana.id, "https://issuer.example", str(ana.id), now())
    for _ in range(2):
        await sources.sessions.open(ana.id, Device(client_name="phone"), now())
    outbox = MailOutbox(sources.database, sources.job_queue, is_on=True)
    await outbox.add(MailKind.PASSWORD_CHANGED, user_id=ana.id, mail_id=ana.id)
    for mail in await outbox.claim([ana.id], now()):
        await outbox.finish(mail, MailOutcome.SENT, now(), recipient=(mail.kind, "ana@example.com"))
    await sources.mail_tokens.make(TokenPurpose.PASSWORD_RESET, "ana@example.com", ana.id)
    await sources.dead_letters.count_failure(Job(Task.COUNT, Fact.FOLLOW, str(ana.id)), "once", now())


async def _create_moderation(world: World, ana: UserRecord, bob: UserRecord, cat: UserRecord, post: PostRecord) -> None:
    """Reports by ana and about her and her post, open and closed; decisions of hers and about her, and an appeal."""
    moderation, of_post = world.sources.moderation, Target(id=post.id, type=ReportTargetType.POST, subject_id=ana.id)
    of_ana, of_bob, of_cat = [
        Target(id=user.id, type=ReportTargetType.USER, subject_id=user.id) for user in (ana, bob, cat)
    ]
    assert await moderation.deciding.set_role(ana.id, Role.MODERATOR, now())
    for reporter, target in ((ana, of_bob), (ana, of_cat), (bob, of_ana), (cat, of_ana), (bob, of_post)):
        await moderation.reports.report(reporter.id, target, ReportReason.SPAM, "of ana", now())
    warned = Ruling(target=of_ana, action=ModerationAction.WARN, moderator_id=bob.id, statement="you, ana", note="ana")
    decision = await moderation.deciding.decide(warned, now())
    await moderation.decisions.appeal(decision, "not me", now())
    await moderation.reports.report(bob.id, of_ana, ReportReason.OTHER, "once more", now())
    until = now() + timedelta(days=3)
    limited = Ruling(target=of_ana, action=ModerationAction.LIMIT, moderator_id=cat.id, statement="less", until=until)
    await moderation.deciding.decide(limited, now())
    key = Idempotency.of("dismissed", "moderate", {})
    by_ana = Ruling(target=of_cat, action=ModerationAction.DISMISS, moderator_id=ana.id, idempotency=key)
    await moderation.deciding.decide(by_ana, now())
    case = await moderation.cases.open_about(bob.id)
    assert case is not None
    await moderation.cases.claim(case.id, ana.id, now(), release=False)


async def _begin_uploads(world: World, ana: UserRecord) -> list[ObjectId]:
    """A post whose file is not sent yet, and an upload of no post."""
    of_post, alone = [await create_upload(world, ana, UploadStatus.AWAITING_BYTES) for _ in range(2)]
    draft = PostDraft(images=[PostImage(upload_id=of_post)], caption="soon")
    await world.sources.publishing.create(ana.id, draft, now())
    return [of_post, alone]
