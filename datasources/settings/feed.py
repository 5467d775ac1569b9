"""Settings of home feeds."""

from pydantic import Field
from pydantic_settings import BaseSettings


class FeedSettings(BaseSettings):
    """Which posts are pushed, and how fast; and how much of a feed is kept."""

    feed_push_limit: int = Field(10_000, ge=0, description="Posts are pushed to so many followers; with more, pulled.")
    feed_following_limit: int = Field(
        2_000, ge=0, description="Posts are pushed to the feeds of who follows so many; of who follows more, pulled."
    )
    large_fan_out_pause: float = Field(
        3.0, ge=0, le=100, description="A long fan-out pauses so many times as long as each of its steps took."
    )
    feed_retained_entries: int = Field(500, ge=1, description="Newest entries kept of a feed; older posts are pulled.")
    feed_active_days: float = Field(14, gt=0, description="Feeds that nobody has looked at for so long get no posts.")
