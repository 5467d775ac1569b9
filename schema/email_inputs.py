"""The inputs of mutations about mail addresses."""

import strawberry

from domain import limits
from schema.inputs import MAIL_TOKEN, ClientInput
from schema.text_fields import text_field


@strawberry.input
class VerifyEmailInput(ClientInput):
    token: str = text_field(MAIL_TOKEN, max_length=limits.MAIL_TOKEN_MAX)


@strawberry.input
class RequestEmailVerificationInput:
    email: str | None = text_field(
        "The address that somebody has registered with; the viewer's own when left out.",
        max_length=limits.EMAIL_MAX,
        default=None,
    )


@strawberry.input
class RequestEmailChangeInput:
    email: str = text_field("The new address.", max_length=limits.EMAIL_MAX)
