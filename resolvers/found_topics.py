"""Pages of hashtags and places that were found: positions from the index, then records."""

from collections.abc import Sequence

from domain.errors import BadInput
from domain.paging import Match, Page, PageRequest, cut_page, fill_page
from domain.records.topics import HashtagRecord, PlaceRecord
from domain.search_keys import found_key
from domain.topic_search import MATCH_GROUPS, topic_keys
from domain.topics import TopicKind
from schema.context import Context

AnyTopic = HashtagRecord | PlaceRecord


async def found_topics(context: Context, kind: TopicKind, key: str, request: PageRequest) -> Page[AnyTopic]:
    """A page of the topics of a kind whose names have this key. Raises BadInput for a cursor of another search.

    One whose number of posts doubles, or halves, between two pages may show twice, or not at all.
    """
    after = request.after
    if isinstance(after, Match) and not (after.group == MATCH_GROUPS[kind] and after.text.startswith(key)):
        raise BadInput("That is not a cursor of this search.")

    async def fetch(step: PageRequest) -> Page[Match]:
        start = step.after if isinstance(step.after, Match) else None
        matches = await context.sources.discovery.topics.named(kind, key, step.limit + 1, start)
        return cut_page(step, [(match, match) for match in matches])

    async def load(matches: Sequence[Match]) -> list[AnyTopic | None]:
        """The topics; None for one that has no post any more, or that is found by a key before this one."""
        loaders = context.loaders
        loader = loaders.hashtag_by_id if kind is TopicKind.HASHTAG else loaders.place_by_id
        topics = await loader.load_many([match.id for match in matches])
        return [
            topic if topic and topic.post_count and found_key(topic_keys(kind, topic.name), key) == match.text else None
            for match, topic in zip(matches, topics, strict=True)
        ]

    return await fill_page(request, fetch, load)
