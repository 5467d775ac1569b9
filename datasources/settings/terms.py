"""Settings of the terms that people accept."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

_AGES = (13, 16, 18)  # at which a range of age begins (`domain/records/terms.py`)


class TermsSettings(BaseSettings):
    """Which terms are in force, and who may use the service."""

    terms_version: str | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="The version of the terms in force; None for none.",
    )
    terms_url: str | None = Field(None, description="Where people read them.")
    terms_refuse: Literal["acts", "nothing"] = Field(
        "acts", description="What is refused to accounts that have not accepted them: acts that others see, or nothing."
    )
    minimum_age: int | None = Field(
        None, description="13, 16 or 18: who accepts the terms also says their age range; the younger are refused."
    )

    @model_validator(mode="after")
    def _require_terms_for_age(self) -> Self:
        if self.terms_version is None and (self.minimum_age is not None or self.terms_url is not None):
            raise ValueError("PHOTOGRAM_MINIMUM_AGE and PHOTOGRAM_TERMS_URL need PHOTOGRAM_TERMS_VERSION")
        if self.minimum_age not in (None, *_AGES):
            raise ValueError("PHOTOGRAM_MINIMUM_AGE is 13, 16 or 18, as the ranges of age that people are asked for")
        return self
