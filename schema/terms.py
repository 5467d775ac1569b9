"""The terms of the service, and who has accepted them."""

from datetime import datetime

import strawberry

from schema.enums import AgeRange
from schema.fields import plain
from schema.scalars import Url


@strawberry.type(description="The terms of the service that are in force.")
class Terms:
    """Presents `TermsInForce`."""

    version: str = plain("Send it with register and acceptTerms.")
    url: Url | None = plain("Where people read them.")
    minimum_age: int | None = plain(
        "Who accepts the terms also sends their age range, which must begin at this age; null if no age is asked for."
    )


@strawberry.type(description="That the viewer has accepted terms of the service.")
class TermsAcceptance:
    """Presents `AcceptanceRecord`."""

    version: str = plain("Which version.")
    accepted_at: datetime = plain("When they did first.")
    age_range: AgeRange | None = plain("What they said of their age; null where nothing was asked.")
