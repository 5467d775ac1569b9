"""Settings of accounts and their sessions."""

from pydantic import Field
from pydantic_settings import BaseSettings

from datasources.settings.lists import CommaList


class AccountSettings(BaseSettings):
    """Settings of accounts and their sessions; times are in seconds."""

    reserved_handles: CommaList = Field((), description="Handles that nobody may register, besides the product's own.")
    access_token_ttl: int = Field(3600, gt=0, description="Life of an access token.")
    refresh_token_ttl: int = Field(60 * 86400, gt=0, description="Life of an unused session.")
