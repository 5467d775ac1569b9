"""Settings of what is looked at before others react to it: comments, posts, profiles, images."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from datasources.settings.lists import CommaList


class ScreeningSettings(BaseSettings):
    """Settings of screening; times are in seconds."""

    comment_screen: str | None = Field(None, description="module:function; see domain/comment_screening.py.")
    content_screen: str | None = Field(None, description="module:function; see domain/content_screening.py.")
    screen_timeout: float = Field(
        5.0, gt=0, lt=60, description="Longest time for screening one comment, post or profile."
    )
    blocked_words: CommaList = Field(
        (),
        description="Comments with one of these words are hidden; posts and profiles with one become a report for "
        "moderators.",
    )
    known_files: Path | None = Field(
        None,
        description="A file of SHA-256 digests in hex, one a line with words after it: images whose uploads are such "
        "files become a report for moderators.",
    )
    known_images: Path | None = Field(
        None, description="The same of perceptual hashes (PDQ); workers need the extra `matching`."
    )
    known_images_distance: int = Field(
        31, ge=0, le=90, description="In how many of 256 bits an image may differ from one of `known_images`."
    )

    @property
    def screens_content(self) -> bool:
        """Whether posts and profiles are screened."""
        return bool(self.content_screen or self.blocked_words or self.known_files or self.known_images)
