"""Settings of exports."""

from pydantic import Field
from pydantic_settings import BaseSettings


class ExportSettings(BaseSettings):
    """Where the archives of accounts are."""

    exports_bucket: str = Field(
        "photogram-exports", description="Bucket of exports: private, behind no CDN, and of nothing else."
    )
