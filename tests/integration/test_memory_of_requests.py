"""What requests leave behind: nothing that waits for the garbage collector, which would hold up the others."""

import gc
from collections import Counter

import httpx2
import pytest

from app import create_app
from domain.ids import to_global_id
from tests.support.client import Api
from tests.support.factories import World, now
from tests.support.full_account import create_full_account
from tests.support.toy.server import running

FEED = """{
  feed { edges { node {
    id viewerHasLiked author { avatar { rendition(width: 150) { url } } } previewComments { text }
  } } }
}"""
PROFILE = """query ($username: String!) {
  user(username: $username) {
    viewerFollowState posts { edges { node { id images { rendition(width: 320) { url } } } } }
  }
}"""
NOTIFICATIONS = """{
  notifications { edges { node { __typename id actors { id } ... on PostNotification { post { id } } } } }
}"""
OURS = ("datasources", "domain", "engine", "resolvers", "schema", "graphql", "strawberry")


def garbage() -> Counter[str]:
    """The classes of ours, and of what executes operations, whose objects only the collector frees."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        kinds = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    return Counter({name: count for name, count in kinds.items() if name.startswith(OURS)})


@pytest.mark.usefixtures("patient_caches")
async def test_requests_are_freed_without_the_collector(world: World) -> None:
    account = await create_full_account(world)
    _, tokens = await world.sources.sessions.open(account.ana.id, None, now())
    settings, post = world.sources.settings, {"postId": to_global_id("Post", account.bobs_post.id)}
    async with (
        running(create_app(settings), settings) as (_, port),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http,
    ):
        client = Api(http, tokens.access_token)

        async def ask_everything() -> None:
            for query in (FEED, NOTIFICATIONS, "{ __typename }"):
                await client.get(query)
            await client.get(PROFILE, username=account.bob.username)
            await client.done("likePost", "post { id likeCount }", **post)
            await client.done("addComment", "commentEdge { node { id author { id } } }", text="What a light!", **post)

        for _ in range(3):  # until operations are compiled, and connections open
            await ask_everything()
        gc.collect()
        gc.disable()
        try:
            await ask_everything()
            assert garbage() == Counter()
        finally:
            gc.enable()
