"""Finding people, hashtags and places by what their names begin with, and posts by their words."""

from typing import Annotated

import strawberry
from bson import ObjectId

from domain.errors import BadInput
from domain.limits import PAGE_SIZE_MAX, SEARCH_QUERY_MAX, SUGGESTIONS_DEFAULT
from domain.paging import Match, PageRequest
from domain.rate_limits import Action
from domain.records.users import UserRecord
from domain.search_keys import query_key
from domain.topics import TopicKind
from resolvers.found_people import found_page, suggested
from resolvers.found_posts import found_posts
from resolvers.found_topics import found_topics
from resolvers.rate_limits import count_use
from resolvers.root_fields import query
from schema.connection import EMPTY, ConnectionData, to_connection
from schema.context import Info
from schema.enums import SearchKind
from schema.fields import After, First
from schema.search import SearchConnection
from schema.user import User

_TOPICS = {SearchKind.HASHTAGS: TopicKind.HASHTAG, SearchKind.PLACES: TopicKind.PLACE}
_TEXT = f"Up to {SEARCH_QUERY_MAX} characters; case, accents and spaces make no difference."


@query(
    SearchConnection | None,
    "Finds what `kind` says. PEOPLE are accounts, by the beginning of their handle, of their name, or of a word of it. "
    "First comes the account whose handle it is, then people the viewer knows, then all others by how many followers "
    "they have, about. If few are found, and nobody has that handle, accounts follow whose handle, name or word of the "
    "name differs by one typing error. The list has nobody whom the viewer may not meet, and nobody who does not want "
    "to be found; these are found by their whole handle, and by people they know. HASHTAGS are found by their "
    "beginning, and PLACES by that of any word of their name, if posts that everybody may see are listed under "
    "them, by how many these are, about. "
    "POSTS are found by all words of their caption, in any form that the language of the viewer's mails has of them, "
    "newest first: the viewer's own, and those that everybody may see and whose author wants to be found; none of "
    "people whom the viewer has muted, or with whom there is a block. A new post is found after some seconds.",
)
async def search(
    info: Info,
    query: Annotated[str, strawberry.argument(description=f"What to look for. {_TEXT}")],
    kind: Annotated[SearchKind, strawberry.argument(description="What of.")] = SearchKind.PEOPLE,
    first: First = None,
    after: After = None,
) -> ConnectionData:
    request = PageRequest.of(first, after).expects(ObjectId if kind is SearchKind.POSTS else Match)
    key = _key(query)
    await count_use(info, Action.SEARCH)
    if not key:
        return EMPTY
    if kind is SearchKind.POSTS:
        return to_connection(await found_posts(info.context, query, request))
    if kind in _TOPICS:
        return to_connection(await found_topics(info.context, _TOPICS[kind], key, request))
    return to_connection(await found_page(info.context, query, key, request))


@query(
    list[User] | None,
    "Accounts to mention: people the viewer knows whose handle, name, or a word of it begins so, then others whose "
    f"handle does, by how many followers they have, about; {SUGGESTIONS_DEFAULT} unless `first` says otherwise.",
    max_items=PAGE_SIZE_MAX,
    public=False,
)
async def suggest_handles(
    info: Info,
    prefix: Annotated[str, strawberry.argument(description=f"What was typed, with or without the @. {_TEXT}")],
    first: First = None,
) -> list[UserRecord]:
    request = PageRequest.of(SUGGESTIONS_DEFAULT if first is None else first)
    key = _key(prefix)
    await count_use(info, Action.SEARCH)
    return await suggested(info.context, key, request.limit) if key else []


def _key(text: str) -> str:
    """What to look for; empty if nothing can be found by it. Raises BadInput."""
    if len(text) > SEARCH_QUERY_MAX:
        raise BadInput(f"A search has at most {SEARCH_QUERY_MAX} characters.")
    return query_key(text)
