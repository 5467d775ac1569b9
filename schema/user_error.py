"""Refusals as data: the userErrors of a mutation's payload, and why an upload or a post failed."""

from datetime import datetime
from typing import Any

import strawberry

from domain.errors import Refusal
from domain.limits import FIELD_PATH_MAX
from domain.records.uploads import FailureRecord
from schema.context import Info
from schema.enums import UserErrorCode
from schema.fields import plain


@strawberry.type(description="Why a mutation could not do what was asked, for a person and for a program.")
class UserError:
    """A `Refusal` as data: GraphQL would take the exception itself for a failure of the field."""

    code: UserErrorCode = plain("The reason, for programs.")
    message: str = plain("The reason, for people, in English.")
    field: list[str] | None = plain("Path of the input field at fault, if one is.", max_items=FIELD_PATH_MAX)
    retryable: bool = plain("Whether the same request may succeed later.")
    retry_after_ms: int | None = plain("How long to wait before trying again, in milliseconds.")
    resets_at: datetime | None = plain(
        "Of QUOTA_EXCEEDED: when the count of the day or month that is full starts again, or the account can go public."
    )


def to_user_error(refusal: Refusal) -> UserError:
    return UserError(
        code=refusal.code,
        message=refusal.message,
        field=refusal.field,
        retryable=refusal.retryable,
        retry_after_ms=refusal.retry_after_ms,
        resets_at=refusal.resets_at,
    )


def failure_field(description: str) -> Any:
    """The recorded reason why an upload or a post failed."""

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        failure: FailureRecord | None = root.failure
        return None if failure is None else to_user_error(Refusal(failure.code, failure.message))

    return strawberry.field(resolve, graphql_type=UserError | None, description=description)
