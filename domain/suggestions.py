"""Whom to suggest to a viewer, and in which order: of what the viewer follows, and of what others follow and post.

An account that is followed by more people whom the viewer follows comes first (Liben-Nowell and Kleinberg's "common
neighbours"); then who posts with the same hashtags; then who has many followers.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import nlargest

from bson import ObjectId

from domain.limits import SUGGESTIONS_MAX
from domain.records.record import Record, Stored

# Popularity, at most 30, decides among accounts that are equal otherwise.
FOLLOWER_WEIGHT = 100
HASHTAG_WEIGHT = 40
FEW_SIGNALS = 20  # followed people and hashtags: whoever has fewer adds some now, and comes back
KEPT, KEPT_OF_FEW = timedelta(hours=6), timedelta(minutes=1)


class SuggestionReason(StrEnum):
    """Why an account is suggested."""

    FOLLOWED_BY_FOLLOWED = "FOLLOWED_BY_FOLLOWED"
    SAME_HASHTAGS = "SAME_HASHTAGS"
    POPULAR = "POPULAR"


class SuggestedAccount(Record, frozen=True, kw_only=True):
    """An account to suggest; larger scores come first."""

    id: ObjectId
    score: int
    reason: SuggestionReason


class SuggestionsRecord(Stored, frozen=True, kw_only=True):
    """The suggestions for a viewer (`id`), the best first."""

    accounts: list[SuggestedAccount]
    expires_at: datetime


def count_signals(lists: Iterable[Iterable[ObjectId]], excluded: Container[ObjectId]) -> Counter[ObjectId]:
    """In how many of these lists each account is, but for those `excluded`."""
    return Counter(id_ for ids in lists for id_ in set(ids) if id_ not in excluded)


def score_of(followers: int, hashtags: int, popularity: int) -> int:
    """What an account's place comes from: followers whom the viewer follows, hashtags in common, and popularity."""
    return FOLLOWER_WEIGHT * followers + HASHTAG_WEIGHT * hashtags + popularity


def strongest(followers: Mapping[ObjectId, int], hashtags: Mapping[ObjectId, int], limit: int) -> list[ObjectId]:
    """Up to `limit` accounts with the highest scores, before their popularity is known."""

    def place(id_: ObjectId) -> tuple[int, ObjectId]:
        return score_of(followers.get(id_, 0), hashtags.get(id_, 0), 0), id_

    return nlargest(limit, {*followers, *hashtags}, key=place)


def rank_accounts(
    popularity: Mapping[ObjectId, int], followers: Mapping[ObjectId, int], hashtags: Mapping[ObjectId, int]
) -> list[SuggestedAccount]:
    """The best `SUGGESTIONS_MAX` of the accounts in `popularity`, the best first; equal ones by their ids."""
    accounts = [
        SuggestedAccount(
            id=id_,
            score=score_of(followers.get(id_, 0), hashtags.get(id_, 0), popular),
            reason=_reason(followers.get(id_, 0), hashtags.get(id_, 0)),
        )
        for id_, popular in popularity.items()
    ]
    return nlargest(SUGGESTIONS_MAX, accounts, key=lambda account: (account.score, account.id))


def _reason(followers: int, hashtags: int) -> SuggestionReason:
    if not (followers or hashtags):
        return SuggestionReason.POPULAR
    if FOLLOWER_WEIGHT * followers >= HASHTAG_WEIGHT * hashtags:
        return SuggestionReason.FOLLOWED_BY_FOLLOWED
    return SuggestionReason.SAME_HASHTAGS
