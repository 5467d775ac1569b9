"""Hashtags: looking one up, and following it."""

from typing import Annotated

import strawberry

from domain.errors import Refusal, UserErrorCode
from domain.rate_limits import Action
from domain.records.topics import HashtagRecord
from domain.text import hashtag_name
from resolvers.root_fields import mutation, query
from schema.context import Info
from schema.hashtag import Hashtag
from schema.payloads import HashtagPayload
from schema.post_inputs import HashtagInput


@query(Hashtag | None, "One hashtag by name; null only for a text that is no hashtag.")
async def hashtag(
    info: Info,
    name: Annotated[
        str,
        strawberry.argument(description="Its name, in any case, with or without the #; spaces around it are left out."),
    ],
) -> HashtagRecord | None:
    known = hashtag_name(name)
    return None if known is None else await info.context.loaders.hashtag_by_name.load(known)


@mutation(
    "Ensures that the viewer follows a hashtag: posts that everybody may see and that have it are in their home feed.",
    limited_as=Action.FOLLOW,
)
async def follow_hashtag(info: Info, given: HashtagInput) -> HashtagPayload:
    viewer_id, name = info.context.require_viewer(), _checked_name(given)
    await info.context.sources.followed_hashtags.follow(viewer_id, name)
    return HashtagPayload(hashtag=await info.context.loaders.hashtag_by_name.load(name))


@mutation("Ensures that the viewer does not follow a hashtag.", limited_as=Action.FOLLOW)
async def unfollow_hashtag(info: Info, given: HashtagInput) -> HashtagPayload:
    viewer_id, name = info.context.require_viewer(), _checked_name(given)
    await info.context.sources.followed_hashtags.unfollow(viewer_id, name)
    return HashtagPayload(hashtag=await info.context.loaders.hashtag_by_name.load(name))


def _checked_name(given: HashtagInput) -> str:
    """The name as hashtags have it. Raises Refusal (INVALID_INPUT)."""
    name = hashtag_name(given.name)
    if name is None:
        message = "A hashtag has letters, digits and underscores, and at least one letter."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["name"])
    return name
