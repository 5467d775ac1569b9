"""Updates, for every member: absent ones change nothing, null clears, the same value again changes nothing."""

import dataclasses
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, is_non_null_type
from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from datasources.mongo.sharded_ids import new_id
from domain.ids import to_global_id
from domain.records.images import ImageRecord
from domain.records.posts import LocationRecord, PostRecord
from domain.records.users import UserRecord
from resolvers.api import schema
from tests.support.factories import World, image
from tests.support.uploads import insert_upload

INPUTS = {name: type_ for name, type_ in schema._schema.type_map.items() if isinstance(type_, GraphQLInputObjectType)}
OPTIONAL = {
    f"{name}.{field}"
    for name, type_ in INPUTS.items()
    for field, member in type_.fields.items()
    if not is_non_null_type(member.type)
}
PLACE = LocationRecord(name="Home", latitude=1.5, longitude=-2.5)
REFUSED = object()

# By member of an update: a value to set, the stored field, and its value after null.
UPDATES: dict[str, tuple[Any, str, Any]] = {
    "UpdateProfileInput.displayName": ("New name", "display_name", "the handle"),
    "UpdateProfileInput.biography": ("About me", "biography", None),
    "UpdateProfileInput.website": ("https://example.com", "website", None),
    "UpdateProfileInput.avatarUploadId": ("an upload", "avatar", None),
    "UpdateProfileInput.isPrivate": (True, "is_private", REFUSED),
    "UpdateProfileInput.language": ("de", "language", None),
    "UpdatePostInput.caption": ("New #words", "caption", ""),
    "UpdatePostInput.location": (PLACE.to_document(), "location", None),
    "UpdatePostInput.commentsEnabled": (False, "comments_enabled", REFUSED),
}
ELSEWHERE = {  # neither of a profile nor of a post
    "UpdatePreferencesInput.sensitiveContent",
    "UpdatePreferencesInput.approvesTags",
    "UpdatePreferencesInput.isInSearch",
    "UpdatePreferencesInput.showsSuggestedPosts",
}
OF_COLLECTIONS = {  # tested in test_collections.py
    f"UpdateCollectionInput.{name}" for name in ("name", "description", "coverPostId", "isPublic", "isShared", "posts")
}


def test_every_optional_member_of_an_update_is_listed_here() -> None:
    assert {member for member in OPTIONAL if member.startswith("Update")} == {*UPDATES, *ELSEWHERE, *OF_COLLECTIONS}


def test_only_updates_distinguish_null_from_an_absent_member() -> None:
    """In other inputs the two mean the same."""
    modules = [module for name, module in sys.modules.items() if name.startswith("schema.") and name.endswith("inputs")]
    types = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    unset = {
        f"{type_.__name__}.{to_camel_case(field.name)}"
        for type_ in types
        if dataclasses.is_dataclass(type_)
        for field in dataclasses.fields(type_)
        if field.default is UNSET
    }
    of_updates = {*UPDATES, *ELSEWHERE, *OF_COLLECTIONS} - {"UpdateCollectionInput.posts"}  # a list of changes
    assert unset == of_updates | {"CollectionPostInput.note", "CollectionPostInput.afterPostId"}


class Subject:
    """A user with a post, and an update of one of the two."""

    def __init__(self, world: World, ana: UserRecord, post: PostRecord, member: str) -> None:
        kind, self.field = member.split(".")
        self.world, self.ana, self.post, self.is_post = world, ana, post, kind == "UpdatePostInput"
        self.mutation = "updatePost" if self.is_post else "updateProfile"

    async def update(self, **arguments: Any) -> list[dict[str, Any]]:
        """Updates the profile or the post; the user errors."""
        about = {"postId": to_global_id("Post", self.post.id)} if self.is_post else {}
        kind = self.mutation[0].upper() + self.mutation[1:]
        document = (
            f"mutation ($input: {kind}Input!) {{ {self.mutation}(input: $input) {{ userErrors {{ code field }} }} }}"
        )
        result = await self.world.execute(document, self.ana, input={**about, **arguments})
        assert result.errors is None, result.errors
        errors: list[dict[str, Any]] = (result.data or {})[self.mutation]["userErrors"]
        return errors

    async def value(self, name: str) -> Any:
        """A stored field of the profile or post; others do not see the language."""
        if name == "language":
            return await self.world.sources.account.emails.language_of(self.ana.id)
        return getattr(await self.stored(), name)

    async def stored(self) -> PostRecord | UserRecord:
        """The stored profile or post."""
        if self.is_post:
            return await self.world.stored_post(self.post.id)
        return await self.world.stored_user(self.ana.id)


async def new_subject(world: World, member: str) -> Subject:
    """A new user with a post, for updates of a member."""
    ana = await world.user()
    return Subject(world, ana, await world.post(ana), member)


async def ready_upload(world: World, owner: UserRecord) -> tuple[str, ImageRecord]:
    """A ready upload, whose bytes are not stored."""
    shown = image(new_id(owner.id))
    await insert_upload(world, shown, owner.id)
    return to_global_id("MediaUpload", shown.id), shown


@pytest.mark.parametrize("member", UPDATES)
async def test_absent_members_change_nothing_and_null_clears(world: World, member: str) -> None:
    subject = await new_subject(world, member)
    value, stored_as, cleared = UPDATES[member]
    kept = value
    if member == "UpdateProfileInput.avatarUploadId":
        value, kept = await ready_upload(world, subject.ana)
    if member == "UpdatePostInput.location":
        kept = PLACE
    assert await subject.update(**{subject.field: value}) == []
    assert await subject.update() == []
    others = {"commentsEnabled": True} if subject.field != "commentsEnabled" else {"caption": "other"}
    assert await subject.update(**(others if subject.is_post else {})) == []
    assert await subject.value(stored_as) == kept
    errors = await subject.update(**{subject.field: None})
    if cleared is REFUSED:
        assert errors == [{"code": "INVALID_INPUT", "field": [subject.field]}]
        assert await subject.value(stored_as) == kept
    else:
        assert errors == []
        assert await subject.value(stored_as) == (subject.ana.username if cleared == "the handle" else cleared)


async def update_and_read_edited_at(subject: Subject, **arguments: Any) -> datetime | None:
    """Updates; when the post's words were last changed."""
    assert await subject.update(**arguments) == []
    return (await subject.world.stored_post(subject.post.id)).edited_at


async def test_only_a_change_of_words_is_an_edit(world: World) -> None:
    subject = await new_subject(world, "UpdatePostInput.caption")
    assert await update_and_read_edited_at(subject) is None
    assert await update_and_read_edited_at(subject, commentsEnabled=False) is None
    assert await update_and_read_edited_at(subject, caption="", location=None) is None
    first = await update_and_read_edited_at(subject, caption="words")
    assert first is not None
    assert datetime.now(UTC) >= first
    assert await update_and_read_edited_at(subject, caption=" words ", commentsEnabled=True) == first
    second = await update_and_read_edited_at(subject, caption="words", location=PLACE.to_document())
    assert second is not None
    assert second > first
    assert await update_and_read_edited_at(subject, location=PLACE.to_document()) == second


@pytest.mark.parametrize(
    ("arguments", "field"),
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
async def test_an_invalid_location_names_its_member_and_changes_nothing(
    world: World, arguments: dict[str, Any], field: str
) -> None:
    subject = await new_subject(world, "UpdatePostInput.location")
    assert await subject.update(location=PLACE.to_document()) == []
    assert await subject.update(location=arguments) == [{"code": "INVALID_INPUT", "field": ["location", field]}]
    assert (await world.stored_post(subject.post.id)).location == PLACE
