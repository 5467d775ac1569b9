"""The inputs of mutations about notifications."""

import strawberry

from domain import limits
from schema.fields import plain


@strawberry.input
class MarkNotificationsSeenInput:
    up_to_seq: int = plain("The highest seq shown.")


@strawberry.input
class MarkNotificationsReadInput:
    notification_ids: list[strawberry.ID] | None = plain("These ones.", default=None, max_items=limits.NODES_MAX)
    up_to_seq: int | None = plain("All up to this seq.", default=None)
