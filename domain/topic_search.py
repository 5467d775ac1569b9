"""By what hashtags and places are found."""

from functools import lru_cache

from domain.search_keys import KEYS_MAX, cut_key, from_each_word, without_beginnings, words_of
from domain.topics import TopicKind

MATCH_GROUPS = {TopicKind.HASHTAG: 8, TopicKind.PLACE: 9}  # no other search has them, so its cursors are refused


@lru_cache(maxsize=4096)
def topic_keys(kind: str, name: str) -> tuple[str, ...]:
    """The keys of a hashtag, which is found by its beginning, or of a place, which is found by that of any word.

    Empty for what is never found: a name without a letter or a digit, and what is neither.
    """
    if kind not in MATCH_GROUPS:
        return ()
    words = words_of(name)
    keys = (cut_key("".join(words)),) if kind is TopicKind.HASHTAG else from_each_word(words, KEYS_MAX)
    return tuple(key for key in without_beginnings(keys) if key)
