"""News about the home feed."""

import strawberry

from schema.fields import plain

COUNTED_MOST = 50


@strawberry.type(description="News about the home feed.")
class FeedEvent:
    """Built for each event."""

    new_post_count: int = plain("How many posts are newer than what the viewer last read; at most 50.")
