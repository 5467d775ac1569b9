"""What kind of installation this is, on which the checks of other groups depend."""

from typing import Literal

from pydantic_settings import BaseSettings


class EnvironmentSettings(BaseSettings):
    """The setting that all groups know."""

    environment: Literal["development", "production", "test"] = "development"
