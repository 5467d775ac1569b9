"""Whom to suggest, and in which order: pure rules."""

import random
from collections import Counter

from bson import ObjectId

from domain.limits import SUGGESTIONS_MAX
from domain.search_keys import POPULARITY_MAX
from domain.suggestions import (
    FOLLOWER_WEIGHT,
    HASHTAG_WEIGHT,
    SuggestionReason,
    count_signals,
    rank_accounts,
    strongest,
)

IDS = [ObjectId(number.to_bytes(12, "big")) for number in range(1_000)]
ANA, BOB, CAT, DAN = IDS[:4]


def test_an_account_counts_once_for_each_list_that_has_it() -> None:
    assert count_signals([[ANA, BOB, BOB], [BOB, CAT], [CAT, DAN]], {CAT}) == {ANA: 1, BOB: 2, DAN: 1}


def test_followers_whom_the_viewer_follows_weigh_more_than_hashtags_and_these_more_than_popularity() -> None:
    assert FOLLOWER_WEIGHT > 2 * HASHTAG_WEIGHT > 2 * POPULARITY_MAX
    popularity = {ANA: POPULARITY_MAX, BOB: 0, CAT: 3, DAN: 2}
    ranked = rank_accounts(popularity, {BOB: 1}, {CAT: 1})
    assert [(each.id, each.reason) for each in ranked] == [
        (BOB, SuggestionReason.FOLLOWED_BY_FOLLOWED),
        (CAT, SuggestionReason.SAME_HASHTAGS),
        (ANA, SuggestionReason.POPULAR),
        (DAN, SuggestionReason.POPULAR),
    ]


def test_the_reason_is_what_counts_most() -> None:
    (many,) = rank_accounts({ANA: 0}, {ANA: 1}, {ANA: 3})
    (few,) = rank_accounts({ANA: 0}, {ANA: 1}, {ANA: 2})
    assert (many.reason, few.reason) == (SuggestionReason.SAME_HASHTAGS, SuggestionReason.FOLLOWED_BY_FOLLOWED)


def test_only_accounts_that_may_be_found_are_ranked_and_not_too_many(seed: int) -> None:
    chance = random.Random(seed)
    popularity = {id_: chance.randrange(3) for id_ in chance.sample(IDS, 500)}
    followers, hashtags = (Counter(chance.choices(IDS, k=700)) for _ in range(2))
    ranked = rank_accounts(popularity, followers, hashtags)
    places = [(each.score, each.id) for each in ranked]
    assert places == sorted(places, reverse=True)
    assert len({each.id for each in ranked}) == len(ranked) == SUGGESTIONS_MAX
    scores = {
        id_: FOLLOWER_WEIGHT * followers[id_] + HASHTAG_WEIGHT * hashtags[id_] + popularity[id_] for id_ in popularity
    }
    assert all(each.score == scores[each.id] for each in ranked)
    assert min(places) > max((score, id_) for id_, score in scores.items() if (score, id_) not in places)


def test_the_strongest_are_those_that_would_be_ranked_first(seed: int) -> None:
    chance = random.Random(seed)
    followers, hashtags = (Counter(chance.choices(IDS, k=300)) for _ in range(2))
    expected = rank_accounts(dict.fromkeys({*followers, *hashtags}, 0), followers, hashtags)[:50]
    assert strongest(followers, hashtags, 50) == [each.id for each in expected]
    assert strongest({}, {}, 50) == []
