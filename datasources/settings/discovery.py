"""Settings of what people discover."""

from pydantic import Field
from pydantic_settings import BaseSettings


class DiscoverySettings(BaseSettings):
    """How often explore and trends are made anew."""

    explore_interval: float = Field(
        300.0, gt=0, description="Age at which a snapshot of explore and of the hashtags that trend is replaced."
    )
