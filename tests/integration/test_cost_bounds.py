"""The computed cost of an operation is never below the fields of its answer, however full the lists are."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import msgspec
import pytest
from bson import ObjectId

from domain.ids import to_global_id
from domain.image_formats import RenditionFormat
from domain.limits import (
    ACTORS_SHOWN,
    HASHTAGS_MAX,
    IMAGES_PER_POST,
    MENTIONS_MAX,
    NODES_MAX,
    RENDITION_WIDTHS,
    RENDITIONS_MAX,
    SESSIONS_MAX,
    TAGS_PER_IMAGE,
)
from domain.records.images import ImageRecord, RenditionRecord, TagRecord
from domain.records.users import Device, UserRecord
from resolvers.api import schema
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest
from resolvers.transport.errors import Rejected
from tests.support.emptying import empty
from tests.support.factories import World, image, now
from tests.support.random_operations import RandomOperations, Things

PAGE = 20  # what a page holds by default
WIDEST = 4_000  # cost of a generated query: its answer takes a tenth of a second
DOCUMENTS = Documents(schema._schema, OperationLimits(**{limit.name: 10**9 for limit in fields(OperationLimits)}))


def cost(query: str, variables: dict[str, Any] | None = None) -> int:
    return DOCUMENTS.operation(GraphQLRequest(query, None, variables or {})).cost


def count_fields(value: Any) -> int:
    """How many fields an answer has."""
    if isinstance(value, dict):
        return len(value) + sum(count_fields(inner) for inner in value.values())
    return sum(count_fields(item) for item in value) if isinstance(value, list) else 0


@dataclass
class Full:
    """Ana, the lists of whose things are as long as they can be; everybody follows everybody."""

    world: World
    ana: UserRecord
    post: str
    comment: str
    ids: list[str]

    async def answer(self, query: str, variables: dict[str, Any] | None = None) -> int:
        """How many fields the answer has, of which none fails."""
        result = await self.world.execute(query, self.ana, **(variables or {}))
        assert result.errors is None, (query, variables, result.errors)
        return count_fields(result.data)


@pytest.fixture(scope="module")
async def full(world: World) -> Full:
    await empty(world)
    database, people = world.sources.database, await world.users(PAGE + 5)
    ana, *others = people
    ids = [person.id for person in others]
    for person in others:
        await world.follow(ana, person)
        await world.follow(person, ana)
    posts = [await world.post(ana) for _ in range(PAGE + 2)]
    await world.drain()
    for person in others:
        await world.sources.post_likes.like(posts[-1].id, person.id, now())
        comment = await world.comment(posts[-1], person, "nice")
    for person in others:
        await world.comment(posts[-1], person, "so it is", parent_id=comment.id)
        await world.comment(posts[0], person, "nice too")
    for _ in range(SESSIONS_MAX + 2):
        await world.sources.sessions.open(ana.id, Device(client_name="phone"), now())
    await world.drain()
    words = {"hashtags": [f"tag{number}" for number in range(HASHTAGS_MAX)], "mention_ids": ids[:MENTIONS_MAX]}
    images = [full_image(ObjectId(), ids).to_document() for _ in range(IMAGES_PER_POST)]
    place = {"name": "Here", "latitude": 1.0, "longitude": 2.0}
    await database["posts"].update_many({}, {"$set": {**words, "images": images, "location": place}})
    await database["comments"].update_many({}, {"$set": words})
    await database["users"].update_many({}, {"$set": {"avatar": images[0]}})
    await database["notifications"].update_many({}, {"$set": {"actor_ids": ids[:ACTORS_SHOWN]}})
    await world.sources.caches.posts.invalidate([post.id for post in posts])
    await world.sources.caches.users.invalidate([person.id for person in people])
    global_ids = [to_global_id("Post", post.id) for post in posts] + [
        to_global_id("User", person.id) for person in people
    ]
    return Full(
        world, ana, global_ids[PAGE + 1], to_global_id("Comment", comment.id), [*global_ids, *global_ids][:NODES_MAX]
    )


def full_image(upload_id: ObjectId, people: Sequence[ObjectId]) -> ImageRecord:
    formats = (RenditionFormat.JPEG, RenditionFormat.WEBP, RenditionFormat.AVIF)
    renditions = [
        RenditionRecord(key=f"p/{upload_id}/{width}", format=format_, width=width, height=width, byte_size=9)
        for format_ in formats
        for width in RENDITION_WIDTHS
    ]
    assert len(renditions) == RENDITIONS_MAX
    tags = [TagRecord(user_id=person_id, x=0.5, y=0.5) for person_id in people[:TAGS_PER_IMAGE]]
    return msgspec.structs.replace(image(upload_id), renditions=renditions, tagged_users=tags)


IMAGES = "images { renditions { url width } taggedUsers { x user { username } } }"
FULL_LISTS = {
    "renditions and tags": f"query ($post: ID!) {{ post(id: $post) {{ {IMAGES} }} }}",
    "mentions": "query ($post: ID!) { post(id: $post) { hashtags mentions { id } } }",
    "previews": "query ($post: ID!) { post(id: $post) { previewComments { id mentions { id } } } }",
    "sessions": "{ viewer { sessions { id clientName isCurrent } } }",
    "nodes": "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }",
    "limits": "{ uploadLimits { formats maxBytes } }",
}


@pytest.mark.parametrize("query", FULL_LISTS.values(), ids=FULL_LISTS.keys())
async def test_a_full_list_costs_exactly_the_fields_of_its_answer(full: Full, query: str) -> None:
    given = {"post": full.post, "ids": full.ids}
    variables = {name: value for name, value in given.items() if f"${name}" in query}
    assert cost(query, variables) == await full.answer(query, variables)


PAGES = {
    "comments and replies": "comments { edges { cursor node { id replies { edges { node { id author { id } } } } } } }",
    "likes": "likes(first: null) { edges { node { id } } pageInfo { hasNextPage } }",
    "likes from the end": "likes(last: 20) { edges { node { id } } }",
    "people of comments": "comments(first: 5) { edges { node { mentions { avatar { renditions { width } } } } } }",
}


@pytest.mark.parametrize("selection", PAGES.values(), ids=PAGES.keys())
async def test_a_full_page_costs_no_less_than_the_fields_of_its_answer(full: Full, selection: str) -> None:
    query = f"query ($post: ID!) {{ post(id: $post) {{ {selection} }} }}"
    answer = await full.answer(query, {"post": full.post})
    assert answer > PAGE
    assert answer <= cost(query, {"post": full.post})


async def test_a_random_query_costs_no_less_than_the_fields_of_its_answer(
    full: Full, seed: int, full_size: bool
) -> None:
    things = Things(full.ids, [full.post], [full.ana.username], cursors=())
    operations = RandomOperations(random.Random(seed), things, depth=5, errs=False)
    asked = answers = 0
    while asked < (400 if full_size else 60):
        query, variables = operations.query()
        try:
            declared = cost(query, variables)
        except Rejected:  # not all are valid
            continue
        if declared > WIDEST:
            continue
        asked += 1
        answer = await full.answer(query, variables)
        assert answer <= declared, (query, variables)
        answers += answer
    assert answers > 8 * asked, "they ask for something"
