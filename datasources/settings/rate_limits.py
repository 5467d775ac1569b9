"""Settings of rate limits."""

from typing import Annotated, Self

import orjson
from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode

from domain.rate_limits import RateLimits, parse_pairs


def split_pairs(value: object) -> object:
    """The names and values of a text `name=value,name=value` or of a JSON object; any other value unchanged."""
    if not isinstance(value, str):
        return value
    return orjson.loads(value) if value.lstrip().startswith("{") else parse_pairs(value)


class RateLimitSettings(BaseSettings):
    """Settings of rate limits; `domain/rate_limits.py` has the defaults and their reasons."""

    rate_limits: Annotated[dict[str, str], NoDecode, BeforeValidator(split_pairs)] = Field(
        {},
        description="Other limits than the defaults, with commas: comment.account=30/600 lets 30 through at once and "
        "restores them over 600 seconds.",
    )
    rate_limit_roles: Annotated[dict[str, float], NoDecode, BeforeValidator(split_pairs)] = Field(
        {},
        description="How many times the limits of a member a role has, by default trusted=2,moderator=4,"
        "administrator=4,service=10,new=0.25; new is for actions of young accounts.",
    )
    rate_limit_factor: float = Field(1.0, ge=0, description="Multiplies every limit; 0 turns all of them off.")
    spam_screen: str | None = Field(None, description="module:function; see domain/spam.py.")
    new_account_hours: float = Field(24, ge=0, description="Accounts younger than this have the limits of `new`.")

    @model_validator(mode="after")
    def _check_rate_limits(self) -> Self:
        _ = self.limits_of_clients  # raises ValueError
        return self

    @property
    def limits_of_clients(self) -> RateLimits:
        return RateLimits(self.rate_limits, self.rate_limit_roles, self.rate_limit_factor)
