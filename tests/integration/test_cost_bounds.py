"""The computed cost of an operation is never below the fields of its answer, however full the lists are."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from itertools import count
from typing import Any

import msgspec
import pytest
from bson import ObjectId
from graphql import GraphQLField, GraphQLInterfaceType, GraphQLNamedType, GraphQLObjectType, get_named_type

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
    SESSIONS_SHOWN,
    TAGS_PER_IMAGE,
)
from domain.records.images import ImageRecord, RenditionRecord, TagRecord
from domain.records.users import UserRecord
from resolvers.api import schema
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest
from tests.support.emptying import empty
from tests.support.factories import World, image, now

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
    for _ in range(SESSIONS_SHOWN + 2):
        await world.sources.sessions.open(ana.id, "phone", now())
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


@dataclass
class Generator:
    """Queries that nobody would write: any fields, any page sizes, fragments, variables left out, null and given."""

    random: random.Random
    full: Full
    names: "count[int]" = field(default_factory=count)
    declared: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)

    def query(self) -> tuple[str, dict[str, Any]]:
        root = schema._schema.query_type
        assert root is not None
        self.declared, self.variables = [], {}
        body = " ".join(self.call(name, root.fields[name], 5) for name in self.sample(root.fields, 2))
        return f"query {self.heading()} {{ {body} }}", self.variables

    def heading(self) -> str:
        return f"({', '.join(self.declared)})" if self.declared else ""

    def sample(self, names: Any, limit: int) -> list[str]:
        return self.random.sample(sorted(names), min(len(names), self.random.randint(1, limit)))

    def call(self, name: str, definition: GraphQLField, depth: int) -> str:
        """A field with an alias of its own; nothing where what it leads to is too deep."""
        of = get_named_type(definition.type)
        given = {key: self.argument(name, key) for key in definition.args}
        arguments = ", ".join(f"{key}: {value}" for key, value in given.items() if value)
        head = f"a{next(self.names)}: {name}{f'({arguments})' if arguments else ''}"
        return f"{head} {{ {self.selection(of, depth - 1)} }}" if isinstance(of, COMPOSITE) else head

    def selection(self, of: GraphQLNamedType, depth: int) -> str:
        if isinstance(of, GraphQLInterfaceType):
            types = self.random.sample(schema._schema.get_possible_types(of), 2)
            inner = " ".join(f"... on {kind.name} {{ {self.selection(kind, depth)} }}" for kind in types)
            return f"__typename id {inner}"
        assert isinstance(of, GraphQLObjectType)
        inside = of.name.endswith(("Connection", "Edge"))  # which cost no depth
        leaves = {name for name, field in of.fields.items() if not isinstance(get_named_type(field.type), COMPOSITE)}
        names = set(of.fields) if depth > 0 or inside else leaves
        chosen = {"edges", "node"} & names if inside else set(self.sample(names, 4)) if names else set()
        body = [self.call(name, of.fields[name], depth + inside) for name in sorted(chosen)]
        return " ".join(["__typename", *body] if self.random.random() < 0.5 or not body else body)

    def argument(self, name: str, key: str) -> str | None:
        """A value for an argument; None to leave it out."""
        match key:
            case "first":
                return self.size() if self.random.random() < 0.7 else None
            case "ids":
                return self.variable("[ID!]!", self.random.sample(self.full.ids, self.random.randint(1, NODES_MAX)))
            case "id":
                return self.variable("ID!", self.full.post if name == "post" else self.random.choice(self.full.ids))
            case "username":
                return f'"{self.full.ana.username}"'
            case "width":
                return "640"
            case _:
                return None

    def size(self) -> str:
        """A page size: as written, or by a variable with or without a default, left out, null or given."""
        match self.random.randrange(4):
            case 0:
                return str(self.random.randint(1, PAGE))
            case 1:
                return "null"
            case 2:
                return self.variable("Int", self.random.choice([None, self.random.randint(1, PAGE)]))
            case _:
                default = self.random.choice(["", " = 3", " = null"])
                return self.variable("Int" + default)

    def variable(self, of: str, *value: Any) -> str:
        name = f"v{next(self.names)}"
        self.declared.append(f"${name}: {of}")
        if value:
            self.variables[name] = value[0]
        return f"${name}"


COMPOSITE = (GraphQLObjectType, GraphQLInterfaceType)


async def test_a_generated_query_costs_no_less_than_the_fields_of_its_answer(
    full: Full, seed: int, full_size: bool
) -> None:
    generator = Generator(random.Random(seed), full)
    asked = answers = 0
    while asked < (400 if full_size else 60):
        query, variables = generator.query()
        declared = cost(query, variables)
        if declared > WIDEST:
            continue
        asked += 1
        answer = await full.answer(query, variables)
        assert answer <= declared, (query, variables)
        answers += answer
    assert answers > 20 * asked, "they ask for something"
