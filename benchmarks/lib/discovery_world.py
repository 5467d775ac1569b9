"""Accounts with a post each, whose hashtags and words follow Zipf's law, as the product would have listed them."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from bson import ObjectId

from benchmarks.lib.documents import CHUNK, follow, insert, post, users
from datasources.accounts.search_terms import search_fields
from datasources.mongo import clock
from datasources.posts.caption_terms import caption_entry
from datasources.posts.topics import search_fields as topic_fields
from datasources.sources import Sources
from domain.topics import TopicKind, hashtag_id, top_score

HASHTAGS, WORDS = 2_000, 5_000
HASHTAGS_OF_EACH, WORDS_OF_EACH = 3, 9  # of a post
FOLLOWED, FOLLOWED_BY_EACH = 300, 100  # by the viewer, and by each of those
LIKES = 20_000
AGE = timedelta(days=30)  # of an account, whose likes count for explore
SYLLABLES = ("ba", "den", "fi", "gor", "hu", "ka", "lo", "mi", "nar", "po", "ra", "sel", "tu", "vo", "wen", "zi")


class DiscoveryWorld(NamedTuple):
    """What there is; hashtags and words from the commonest on."""

    sources: Sources
    viewer_id: ObjectId
    post_ids: Sequence[ObjectId]
    hashtags: Sequence[str]
    words: Sequence[str]

    def hashtag(self, chance: random.Random) -> str:
        return _zipf(chance, self.hashtags)[0]

    def word(self, chance: random.Random) -> str:
        return _zipf(chance, self.words)[0]


def _zipf(chance: random.Random, names: Sequence[str], count: int = 1) -> list[str]:
    return chance.choices(names, cum_weights=_weights(len(names)), k=count)


@cache
def _weights(count: int) -> Sequence[float]:
    return [*accumulate(1 / rank for rank in range(1, count + 1))]


async def populate(sources: Sources, count: int) -> DiscoveryWorld:
    """So many accounts, each with a post; one viewer who follows some, and likes of the latest posts."""
    chance = random.Random(count)
    hashtags, words = _names(chance, HASHTAGS), _names(chance, WORDS)
    user_ids = await users(sources, count)
    await _make_known(sources, user_ids)
    post_ids, uses = list[ObjectId](), Counter[str]()
    chunk = 10_000
    for start in range(0, count, chunk):
        rows = [_post(chance, author_id, hashtags, words) for author_id in user_ids[start : start + chunk]]
        await _list(sources, rows)
        post_ids += [row["_id"] for row in rows]
        uses.update(name for row in rows for name in row["hashtags"])
    await insert(sources, "topics", [_topic(name, number) for name, number in uses.items()])
    latest = post_ids[-3_000:]
    pairs = {(chance.choice(latest), chance.choice(user_ids)) for _ in range(LIKES)}
    liked = [{"target_id": post_id, "user_id": by, "liked": True, "counted": True} for post_id, by in sorted(pairs)]
    await insert(sources, "post_likes", liked)
    await _follow(sources, chance, user_ids)
    return DiscoveryWorld(sources, user_ids[0], post_ids, hashtags, words)


def _names(chance: random.Random, count: int) -> list[str]:
    names = dict[str, None]()
    while len(names) < count:
        names["".join(chance.choices(SYLLABLES, k=chance.randint(2, 4)))] = None
    return list(names)


async def _make_known(sources: Sources, user_ids: Sequence[ObjectId]) -> None:
    """Gives all accounts by what a search finds them, and an age."""
    of_all = {"username": "somebody", "display_name": "Somebody", "state": "ACTIVE"}
    fields = {"search": search_fields(of_all), "created_at": clock.now() - AGE}
    for start in range(0, len(user_ids), CHUNK):
        some = {"_id": {"$in": list(user_ids[start : start + CHUNK])}}
        await sources.database["users"].update_many(some, {"$set": fields})


def _post(chance: random.Random, author_id: ObjectId, hashtags: Sequence[str], words: Sequence[str]) -> dict[str, Any]:
    used = list(dict.fromkeys(_zipf(chance, hashtags, HASHTAGS_OF_EACH)))
    said = " ".join([*_zipf(chance, words, WORDS_OF_EACH), *(f"#{name}" for name in used)])
    likes = int(chance.paretovariate(1)) - 1
    return {**post(author_id), "caption": said, "hashtags": used, "location": None, "like_count": likes}


async def _list(sources: Sources, rows: Sequence[dict[str, Any]]) -> None:
    entries, terms = list[dict[str, Any]](), list[dict[str, Any]]()
    for row in rows:
        score = top_score(row["created_at"], row["like_count"], 0)
        for name in row["hashtags"]:
            pair = {"topic_id": hashtag_id(name), "post_id": row["_id"]}
            entries.append({**pair, "listed": True, "counted": True, "score": score})
        author = {"_id": row["author_id"], "username": "u", "display_name": "u", "created_at": row["created_at"]}
        entry = caption_entry(row, {**author, "state": "ACTIVE"})
        if entry is not None:
            terms.append(entry)
        row["listed"] = [hashtag_id(name) for name in row["hashtags"]]
    await insert(sources, "posts", list(rows))
    await insert(sources, "topic_posts", entries)
    await insert(sources, "caption_terms", terms)


def _topic(name: str, count: int) -> dict[str, Any]:
    topic = {"_id": hashtag_id(name), "kind": TopicKind.HASHTAG.value, "name": name, "post_count": count}
    return {**topic, "search": topic_fields(topic)}


async def _follow(sources: Sources, chance: random.Random, user_ids: Sequence[ObjectId]) -> None:
    viewer_id, *others = user_ids
    followed = chance.sample(others, FOLLOWED)
    follows = [follow(viewer_id, user_id, slot) for slot, user_id in enumerate(followed)]
    for user_id in followed:
        theirs = [each for each in chance.sample(others, FOLLOWED_BY_EACH) if each != user_id]
        follows += [follow(user_id, each, slot) for slot, each in enumerate(theirs)]
    await insert(sources, "follows", follows)
