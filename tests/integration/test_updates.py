"""Updates: what is left out stays, null clears, saying the same again changes nothing; for every member there is."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from graphql import GraphQLInputObjectType, is_non_null_type
from strawberry import UNSET

from domain.ids import to_global_id
from domain.records.images import ImageRecord
from domain.records.posts import LocationRecord, PostRecord
from domain.records.users import UserRecord
from resolvers.api import schema
from schema import inputs as schema_inputs
from tests.support.factories import World, image, now

INPUTS = {name: each for name, each in schema._schema.type_map.items() if isinstance(each, GraphQLInputObjectType)}
OPTIONAL = {
    f"{name}.{field}"
    for name, each in INPUTS.items()
    for field, member in each.fields.items()
    if not is_non_null_type(member.type)
}
PLACE = LocationRecord(name="Home", latitude=1.5, longitude=-2.5)
REFUSED = object()

# By member of an update: a value to set, where it is stored, and what null makes of it.
UPDATES: dict[str, tuple[Any, str, Any]] = {
    "UpdateProfileInput.displayName": ("New name", "display_name", "the handle"),
    "UpdateProfileInput.biography": ("About me", "biography", None),
    "UpdateProfileInput.website": ("https://example.com", "website", None),
    "UpdateProfileInput.avatarUploadId": ("an upload", "avatar", None),
    "UpdateProfileInput.isPrivate": (True, "is_private", REFUSED),
    "UpdatePostInput.caption": ("New #words", "caption", ""),
    "UpdatePostInput.location": (PLACE.to_document(), "location", None),
    "UpdatePostInput.commentsEnabled": (False, "comments_enabled", REFUSED),
}


def test_every_optional_member_of_an_update_says_what_null_means() -> None:
    assert {one for one in OPTIONAL if one.startswith("Update")} == {*UPDATES}


def test_only_updates_tell_null_from_what_is_left_out() -> None:
    """Elsewhere the two are the same: what a client need not say."""
    inputs = [one for one in vars(schema_inputs).values() if isinstance(one, type) and dataclasses.is_dataclass(one)]
    unset = {
        f"{one.__name__}.{field.name}" for one in inputs for field in dataclasses.fields(one) if field.default is UNSET
    }
    assert len(unset) == len(UPDATES)
    assert all(one.startswith("Update") for one in unset)


class Subject:
    """Somebody with a post, and an update of either."""

    def __init__(self, world: World, ana: UserRecord, post: PostRecord, member: str) -> None:
        kind, self.field = member.split(".")
        self.world, self.ana, self.post, self.is_post = world, ana, post, kind == "UpdatePostInput"
        self.mutation = "updatePost" if self.is_post else "updateProfile"

    async def update(self, **given: Any) -> list[dict[str, Any]]:
        """Its userErrors."""
        about = {"postId": to_global_id("Post", self.post.id)} if self.is_post else {}
        kind = self.mutation[0].upper() + self.mutation[1:]
        document = (
            f"mutation ($input: {kind}Input!) {{ {self.mutation}(input: $input) {{ userErrors {{ code field }} }} }}"
        )
        result = await self.world.execute(document, self.ana, input={**about, **given})
        assert result.errors is None, result.errors
        errors: list[dict[str, Any]] = (result.data or {})[self.mutation]["userErrors"]
        return errors

    async def stored(self) -> PostRecord | UserRecord:
        """It as it is now."""
        if self.is_post:
            return await self.world.stored_post(self.post.id)
        return await self.world.stored_user(self.ana.id)


async def subject(world: World, member: str) -> Subject:
    ana = await world.user()
    return Subject(world, ana, await world.post(ana), member)


async def an_upload(world: World, owner: UserRecord) -> tuple[str, ImageRecord]:
    """A ready upload of somebody's, of which there are no bytes."""
    shown = image(ObjectId())
    document = {
        "_id": shown.id,
        "owner_id": owner.id,
        "status": "READY",
        "format": "JPEG",
        "byte_size": 9,
        "sha256": "",
        "key": str(shown.id),
        "created_at": now(),
        "expires_at": now(),
        "image": shown.to_document(),
    }
    await world.sources.database["uploads"].insert_one(document)
    return to_global_id("MediaUpload", shown.id), shown


@pytest.mark.parametrize("member", UPDATES)
async def test_what_is_left_out_stays_and_null_clears(world: World, member: str) -> None:
    one = await subject(world, member)
    value, stored_as, cleared = UPDATES[member]
    kept = value
    if member == "UpdateProfileInput.avatarUploadId":
        value, kept = await an_upload(world, one.ana)
    if member == "UpdatePostInput.location":
        kept = PLACE
    assert await one.update(**{one.field: value}) == []
    assert await one.update() == []
    others = {"commentsEnabled": True} if one.field != "commentsEnabled" else {"caption": "other"}
    assert await one.update(**(others if one.is_post else {})) == []
    assert getattr(await one.stored(), stored_as) == kept
    errors = await one.update(**{one.field: None})
    if cleared is REFUSED:
        assert errors == [{"code": "INVALID_INPUT", "field": [one.field]}]
        assert getattr(await one.stored(), stored_as) == kept
    else:
        assert errors == []
        assert getattr(await one.stored(), stored_as) == (one.ana.username if cleared == "the handle" else cleared)


async def edited(one: Subject, **given: Any) -> datetime | None:
    """When the post's words were last changed, after an update."""
    assert await one.update(**given) == []
    return (await one.world.stored_post(one.post.id)).edited_at


async def test_only_other_words_are_an_edit(world: World) -> None:
    one = await subject(world, "UpdatePostInput.caption")
    assert await edited(one) is None
    assert await edited(one, commentsEnabled=False) is None
    assert await edited(one, caption="", location=None) is None
    first = await edited(one, caption="words")
    assert first is not None
    assert datetime.now(UTC) >= first
    assert await edited(one, caption=" words ", commentsEnabled=True) == first
    second = await edited(one, caption="words", location=PLACE.to_document())
    assert second is not None
    assert second > first
    assert await edited(one, location=PLACE.to_document()) == second


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "\u3164"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x" * 10_001}, "name"),
        ({"name": "x", "latitude": 1}, "longitude"),
        ({"name": "x", "longitude": 1}, "latitude"),
        ({"name": "x", "latitude": None, "longitude": 1}, "latitude"),
        ({"name": "x", "latitude": 90.1, "longitude": 1}, "latitude"),
        ({"name": "x", "latitude": 1, "longitude": -180.1}, "longitude"),
    ],
)
async def test_a_malformed_place_names_its_part_and_changes_nothing(
    world: World, given: dict[str, Any], field: str
) -> None:
    one = await subject(world, "UpdatePostInput.location")
    assert await one.update(location=PLACE.to_document()) == []
    assert await one.update(location=given) == [{"code": "INVALID_INPUT", "field": ["location", field]}]
    assert (await world.stored_post(one.post.id)).location == PLACE
