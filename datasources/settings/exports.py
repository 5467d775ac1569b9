"""Settings of exports."""

from pydantic import Field
from pydantic_settings import BaseSettings


class ExportSettings(BaseSettings):
    """Where the archives of accounts are, and how large."""

    exports_bucket: str = Field(
        "photogram-exports", description="Bucket of exports: private, behind no CDN, and of nothing else."
    )
    export_file_bytes: int = Field(
        4 * 2**30,
        ge=2**20,
        le=64 * 2**30,
        description="From how many bytes on an archive of an export is closed, and another one begun.",
    )
