"""That somebody has accepted the terms of the service, and in which range of age they say they are."""

from datetime import datetime
from enum import StrEnum

from domain.records.record import Record


class AgeRange(StrEnum):
    """Ranges, because an exact age is more than anybody needs to know."""

    UNDER_13 = "UNDER_13"
    FROM_13_TO_15 = "FROM_13_TO_15"
    FROM_16_TO_17 = "FROM_16_TO_17"
    FROM_18 = "FROM_18"

    @property
    def lowest(self) -> int:
        """The least age in it."""
        return {"UNDER_13": 0, "FROM_13_TO_15": 13, "FROM_16_TO_17": 16}.get(self.value, 18)


class AcceptanceRecord(Record, frozen=True, kw_only=True):
    """One acceptance of one version, stored in the account's document; the first of a version stays."""

    version: str
    accepted_at: datetime
    age_range: AgeRange | None = None
