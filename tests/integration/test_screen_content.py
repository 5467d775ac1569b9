"""Screening of posts and profiles: what is found becomes one report for moderators, and nothing is hidden."""

from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from PIL import Image, ImageDraw

from config import Settings
from datasources.moderation.screening import SCREENING_ID
from datasources.saves.collection_posts import PostChange
from domain.content_screening import NOTHING_FOUND, Finding, ScreenedContent
from domain.jobs import Fact, Task
from domain.limits import CASE_REPORTS_KEPT, CASE_REPORTS_SHOWN, REPORT_NOTE_MAX
from domain.mails import TokenPurpose
from domain.records.moderation import ReportReason, ReportRecord, ReportTargetType, Target
from domain.records.posts import PostRecord
from domain.records.saves import CollectionRecord
from domain.records.users import UserRecord
from tests.support.auditing import audit
from tests.support.factories import World, now, opened
from workers.handlers.known_images import KnownImages, UnknownMatchingError, perceptual_hash
from workers.handlers.screen_comments import ScreenFailed, UnknownScreenError
from workers.handlers.screen_content import check_screening, screen_collection, screen_post, screen_profile


async def no_digits(screened: ScreenedContent) -> Finding:
    """A screen, as an operator would write one."""
    assert screened.owner.id == screened.target.subject_id
    has_some = any(character.isdigit() for character in "".join(screened.texts[1:] or screened.texts))
    return Finding(review_because="digits") if has_some else NOTHING_FOUND


async def broken(_screened: ScreenedContent) -> Finding:
    raise ConnectionError("the service is away")


async def talkative(_screened: ScreenedContent) -> str:
    return "fine"


def picture(*, seed: int = 0, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A picture with much in it; another one for another seed."""
    drawn = Image.new("RGB", (640, 480), (30 + 9 * seed, 90, 160))
    pen = ImageDraw.Draw(drawn)
    for number in range(40):
        x, y = (number * 97 + seed * 211) % 600, (number * 61 + seed * 137) % 440
        colour = (number * 6 % 256, (number * 31 + seed * 71) % 256, number * 17 % 256)
        pen.ellipse((x, y, x + 30 + number * 3, y + 20 + number * (2 + seed)), fill=colour)
    return drawn.resize(size)


def as_jpeg(image: Image.Image, quality: int = 85) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def hash_line(data: bytes, about: str) -> str:
    number = perceptual_hash(data)
    assert number is not None
    return f"{number:064x} {about}\n"


@pytest.fixture
async def screened(settings: Settings) -> AsyncIterator[World]:
    """A world in which words are blocked."""
    async with opened(settings.model_copy(update={"blocked_words": ("casino",)})) as world:
        yield world


async def reports_about(world: World, target_id: Any) -> list[ReportRecord]:
    rows = await world.sources.database["reports"].find({"target_id": target_id}).to_list()
    return [ReportRecord.from_document(row) for row in rows]


async def notes_about(world: World, target_id: Any) -> list[str]:
    reports = await reports_about(world, target_id)
    assert all(report.reporter_id == SCREENING_ID for report in reports)
    return [report.note for report in reports]


def the_account(user: UserRecord) -> Target:
    return Target(id=user.id, type=ReportTargetType.USER, subject_id=user.id)


async def pending(world: World, fact: Fact) -> list[list[str]]:
    rows = await world.sources.database[fact.collection].find({"outbox": Task.SCREEN.value}).to_list()
    return [row["outbox"] for row in rows]


async def test_a_caption_with_a_blocked_word_is_reported_once_and_stays(screened: World) -> None:
    post = await screened.post(await screened.user(), caption="The best Casino in town")
    await screened.drain()
    for _ in range(2):
        await screen_post(screened.tools, str(post.id))
    assert await notes_about(screened, post.id) == ["Screening: blocked word: casino"]
    assert (await screened.stored_post(post.id)).status is post.status
    assert await pending(screened, Fact.POST) == []
    queue = await screened.sources.database["cases"].find({"target_id": post.id}).to_list()
    assert [case["status"] for case in queue] == ["OPEN"]
    await audit(screened, has_files=False)


COLLECTED = "Screening: collection 'Casino nights': blocked word: casino"


@pytest.mark.parametrize("given", [{"is_public": True}, {"is_shared": True}])
async def test_the_owner_of_a_collection_is_reported_when_others_may_see_its_words(
    screened: World, given: dict[str, bool]
) -> None:
    ana, collections = await screened.user(), screened.sources.saved.collections
    values = {"name": "Casino nights", "description": None, "is_public": False}
    made = await collections.create(ana.id, values, now(), None)
    await screened.drain()
    assert await notes_about(screened, ana.id) == []
    is_shared = given.pop("is_shared", None)
    await collections.update(ana.id, made.id, given, is_shared=is_shared)
    await screened.drain()
    for _ in range(2):
        await screen_collection(screened.tools, str(made.id))
    assert await notes_about(screened, ana.id) == [COLLECTED]
    assert await pending(screened, Fact.COLLECTION) == []
    await audit(screened, has_files=False)


async def public_collection(world: World, owner: UserRecord) -> tuple[CollectionRecord, PostRecord]:
    """A collection that everybody sees, and the one post in it, which has no note."""
    saved, post = world.sources.saved, await world.post(owner)
    values = {"name": "Nights", "description": None, "is_public": True}
    made = await saved.collections.create(owner.id, values, now(), None)
    await saved.posts.save(owner.id, post.id, now(), [made.id])
    return made, post


async def test_notes_of_posts_in_a_collection_are_screened(screened: World) -> None:
    ana, saved = await screened.user(), screened.sources.saved
    made, post = await public_collection(screened, ana)
    await screened.drain()
    assert await notes_about(screened, ana.id) == []
    noted = PostChange(post_id=post.id, values={"note": "Meet me at the casino"})
    await saved.collections.update(ana.id, made.id, {}, [noted])
    await screened.drain()
    assert await notes_about(screened, ana.id) == ["Screening: collection 'Nights': blocked word: casino"]
    assert await pending(screened, Fact.COLLECTION) == []


async def test_a_note_that_changes_during_its_screening_is_screened_again(screened: World) -> None:
    ana, saved = await screened.user(), screened.sources.saved
    made, post = await public_collection(screened, ana)
    (before,) = await saved.collections.by_ids([made.id])
    assert before is not None
    noted = PostChange(post_id=post.id, values={"note": "casino"})
    await saved.collections.update(ana.id, made.id, {}, [noted])
    await saved.collections.mark_screened(before)
    assert await pending(screened, Fact.COLLECTION) == [[Task.SCREEN.value]]


async def test_another_finding_about_an_account_is_added_to_its_open_report(screened: World) -> None:
    ana = await screened.user()
    reports, target = (
        screened.sources.moderation.reports,
        Target(id=ana.id, type=ReportTargetType.USER, subject_id=ana.id),
    )
    for finding in ("one", "x" * 990, "two", "two", "three"):
        await reports.report_finding(target, finding, now())
    (note,) = await notes_about(screened, ana.id)
    assert note == f"three\ntwo\n{'x' * 990}\none"[:REPORT_NOTE_MAX]
    (case,) = await screened.sources.database["cases"].find({"target_id": ana.id}).to_list()
    assert case["report_count"] == 1


async def test_a_finding_is_kept_however_many_reports_a_case_has(screened: World) -> None:
    ana, bob = await screened.users(2)
    reports, target = (
        screened.sources.moderation.reports,
        Target(id=ana.id, type=ReportTargetType.USER, subject_id=ana.id),
    )
    await reports.report(bob.id, target, ReportReason.SPAM, "", now())
    await screened.sources.database["cases"].update_one(
        {"target_id": ana.id}, {"$set": {"report_count": CASE_REPORTS_KEPT}}
    )
    await reports.report_finding(target, "known file: one", now())
    (case,) = await screened.sources.database["cases"].find({"target_id": ana.id}).to_list()
    newer = [{"_id": ObjectId(), "reporter_id": ObjectId(), "case_id": case["_id"]} for _ in range(CASE_REPORTS_SHOWN)]
    stored = await screened.sources.database["reports"].find_one({"reporter_id": bob.id})
    await screened.sources.database["reports"].insert_many([{**(stored or {}), **each} for each in newer])
    shown = await reports.of_case(case["_id"])
    assert len(shown) == CASE_REPORTS_SHOWN
    assert "known file: one" in [report.note for report in shown]


async def test_a_collection_is_screened_when_it_is_made_renamed_and_described(screened: World) -> None:
    collections = screened.sources.saved.collections
    for first, then, found in (
        ({"name": "Casino nights"}, {}, COLLECTED),
        ({"name": "nights"}, {"name": "Casino nights"}, COLLECTED),
        ({"name": "nights"}, {"description": "Casino"}, COLLECTED.replace("Casino nights", "nights")),
        ({"name": "nights"}, {"description": "stars"}, None),
    ):
        ana = await screened.user()
        made = await collections.create(ana.id, {**first, "is_public": True}, now(), None)
        await screened.drain()
        if then:
            await collections.update(ana.id, made.id, then)
            await screened.drain()
        assert await notes_about(screened, ana.id) == ([] if found is None else [found])


async def test_a_collection_that_changes_during_its_screening_is_screened_again(screened: World) -> None:
    ana, collections = await screened.user(), screened.sources.saved.collections
    made = await collections.create(ana.id, {"name": "nights", "is_public": True}, now(), None)
    await collections.update(ana.id, made.id, {"name": "Casino nights"})
    await collections.mark_screened(made)  # as it was before
    await screened.drain()
    assert await notes_about(screened, ana.id) == [COLLECTED]
    await collections.update(ana.id, made.id, {"name": "casino"})
    await collections.delete(ana.id, made.id)
    await screened.drain()
    await audit(screened, has_files=False)


async def test_a_post_without_a_finding_is_not_reported(screened: World) -> None:
    post = await screened.post(await screened.user(), caption="casinos by the sea")
    await screened.drain()
    assert await reports_about(screened, post.id) == []
    assert await pending(screened, Fact.POST) == []


async def test_an_edited_caption_is_screened_again(screened: World) -> None:
    author = await screened.user()
    post = await screened.post(author, caption="a fine day")
    await screened.drain()
    edited = {"caption": "a casino", "hashtags": [], "mention_ids": []}
    await screened.sources.posts.update(post.id, author.id, edited, post.created_at)
    await screened.drain()
    assert await notes_about(screened, post.id) == ["Screening: blocked word: casino"]


async def test_what_changes_during_its_screening_is_screened_again(screened: World) -> None:
    author = await screened.user()
    post = await screened.post(author, caption="a fine day")
    edited = {"caption": "a casino", "hashtags": [], "mention_ids": []}
    await screened.sources.posts.update(post.id, author.id, edited, post.created_at)
    await screened.sources.moderation.screening.mark_post_screened(post)  # as it was read before
    assert len(await pending(screened, Fact.POST)) == 1


@pytest.mark.parametrize("changes", [{"display_name": "Casino Royal"}, {"biography": "visit my CASINO!"}])
async def test_names_and_biographies_are_screened(screened: World, changes: dict[str, str]) -> None:
    user = await screened.user()
    await screened.drain()
    assert await reports_about(screened, user.id) == []
    await screened.sources.users.update_profile(user.id, changes)
    await screened.drain()
    assert await notes_about(screened, user.id) == ["Screening: blocked word: casino"]
    assert await pending(screened, Fact.USER) == []


async def test_a_name_at_registration_and_a_new_handle_are_screened(screened: World) -> None:
    users, now = screened.sources.users, (await screened.user()).created_at
    one = await users.register("first", "first@example.com", "no hash", "Casino", now)
    other = await users.register("second", "second@example.com", "no hash", "Somebody", now)
    await screened.drain()
    assert len(await reports_about(screened, one.id)) == 1
    assert await reports_about(screened, other.id) == []
    await screened.sources.account.renaming.rename(other.id, "casino", now)
    await screened.drain()
    assert len(await reports_about(screened, other.id)) == 1


async def test_a_name_is_screened_when_its_registration_is_completed(screened: World) -> None:
    registrations, tokens = screened.sources.account.registrations, screened.sources.mail_tokens
    await registrations.begin("registered", "registered@example.com", "no hash", "Casino", None, None)
    (registration,) = await screened.sources.database["registrations"].find().to_list()
    token = await tokens.make(TokenPurpose.REGISTRATION, "registered@example.com", registration["_id"])
    assert await registrations.complete(await tokens.find(token), password_hash="another hash")
    await screened.drain()
    assert len(await reports_about(screened, registration["_id"])) == 1


async def test_without_settings_nothing_is_pending(settings: Settings) -> None:
    async with opened(settings) as world:
        user = await world.user()
        await world.sources.users.update_profile(user.id, {"biography": "hello"})
        await world.post(user, caption="hello")
        assert await pending(world, Fact.USER) == await pending(world, Fact.POST) == []


async def test_an_operator_s_screen_is_asked(settings: Settings) -> None:
    named = {"content_screen": f"{__name__}:no_digits"}
    async with opened(settings.model_copy(update=named)) as world:
        user = await world.user()
        await world.sources.users.update_profile(user.id, {"display_name": "Ana", "biography": "call 555"})
        await world.drain()
        assert await notes_about(world, user.id) == ["Screening: digits"]


@pytest.mark.parametrize("function", ["broken", "talkative"])
async def test_a_screen_that_fails_leaves_the_screening_pending(settings: Settings, function: str) -> None:
    async with opened(settings.model_copy(update={"content_screen": f"{__name__}:{function}"})) as world:
        user = await world.user()
        with pytest.raises(ScreenFailed):
            await screen_profile(world.tools, str(user.id))
        assert len(await pending(world, Fact.USER)) == 1


async def test_a_deleted_post_is_not_reported(screened: World) -> None:
    author = await screened.user()
    post = await screened.post(author, caption="a casino")
    await screened.sources.posts.delete(post.id, author.id, post.created_at)
    await screen_post(screened.tools, str(post.id))
    assert await reports_about(screened, post.id) == []


async def with_image(world: World, data: bytes) -> PostRecord:
    """A post of which the upload and a rendition are there."""
    author = await world.user()
    post = await world.post(author)
    digest = sha256(data).digest()
    upload = {"_id": post.images[0].id, "owner_id": author.id, "sha256": b64encode(digest).decode()}
    await world.sources.database["uploads"].insert_one(upload)
    (key,) = [each.key for each in post.images[0].renditions if each.key.endswith("320.jpeg")]
    with Image.open(BytesIO(data)) as opened_image:
        small = as_jpeg(opened_image.convert("RGB").resize((320, 240)), 70)
    await world.sources.blobs.put_media(key, small, "image/jpeg")
    return post


async def test_a_known_file_is_reported(settings: Settings, tmp_path: Path) -> None:
    data, listed = as_jpeg(picture()), tmp_path / "files.txt"
    listed.write_text(f"# from the police\n{sha256(data).hexdigest()} case 17\n")
    async with opened(settings.model_copy(update={"known_files": listed})) as world:
        known, other = await with_image(world, data), await with_image(world, as_jpeg(picture(seed=1)))
        for post in (known, other):
            await screen_post(world.tools, str(post.id))
        assert await notes_about(world, known.id) == ["Screening: known file: case 17"]
        assert await reports_about(world, other.id) == []


async def test_a_blocked_word_hides_no_known_file(settings: Settings, tmp_path: Path) -> None:
    data, file = as_jpeg(picture()), tmp_path / "files.txt"
    file.write_text(f"{sha256(data).hexdigest()} case 7\n")
    given = {"known_files": file, "blocked_words": ("casino", "roulette"), "content_screen": f"{__name__}:broken"}
    async with opened(settings.model_copy(update=given)) as world:
        post = await with_image(world, data)
        caption = {"caption": "Roulette at the casino"}
        await world.sources.database["posts"].update_one({"_id": post.id}, {"$set": caption})
        await world.sources.caches.posts.invalidate([post.id])
        with pytest.raises(ScreenFailed):
            await screen_post(world.tools, str(post.id))
        (note,) = await notes_about(world, post.id)
        assert note == "Screening: known file: case 7\nScreening: blocked word: casino, roulette"


async def test_a_picture_like_a_known_one_is_reported(settings: Settings, tmp_path: Path) -> None:
    listed = tmp_path / "images.txt"
    listed.write_text(hash_line(as_jpeg(picture(seed=5)), "another") + hash_line(as_jpeg(picture()), "case 18"))
    async with opened(settings.model_copy(update={"known_images": listed})) as world:
        smaller = as_jpeg(picture(size=(500, 375)), 60)
        known, other = await with_image(world, smaller), await with_image(world, as_jpeg(picture(seed=2)))
        for post in (known, other):
            await screen_post(world.tools, str(post.id))
        assert await notes_about(world, known.id) == ["Screening: like a known image: case 18"]
        assert await reports_about(world, other.id) == []


def test_a_list_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    listed = tmp_path / "files.txt"
    listed.write_text("")
    known = KnownImages(listed, None, 31)
    digest = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert known.find_file(digest) is None
    listed.write_text("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n")
    assert known.find_file(digest) == "without a name"
    assert known.find_file("") is None


@pytest.mark.parametrize("text", ["abc", "g" * 64])
def test_a_list_that_is_none_stops_the_start(tmp_path: Path, text: str) -> None:
    listed = tmp_path / "files.txt"
    listed.write_text(text)
    with pytest.raises(UnknownMatchingError, match=r"files\.txt"):
        check_screening(Settings(environment="test", known_files=listed))
    with pytest.raises(UnknownMatchingError, match="cannot be read"):
        check_screening(Settings(environment="test", known_files=tmp_path / "nowhere"))


def test_a_screen_that_is_none_stops_the_start() -> None:
    with pytest.raises(UnknownScreenError, match="content_screen"):
        check_screening(Settings(environment="test", content_screen="nowhere:nothing"))
