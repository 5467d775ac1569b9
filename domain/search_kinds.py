"""What a search can look for."""

from enum import StrEnum


class SearchKind(StrEnum):
    """A value is here once its search is."""

    PEOPLE = "PEOPLE"
    HASHTAGS = "HASHTAGS"
    PLACES = "PLACES"
    POSTS = "POSTS"
