"""The inputs of mutations about mail addresses."""

import strawberry

from domain import limits
from schema.inputs import MAIL_TOKEN, DeviceInput
from schema.text_fields import text_field


@strawberry.input
class VerifyEmailInput(DeviceInput):
    token: str = text_field(MAIL_TOKEN, max_length=limits.MAIL_TOKEN_MAX)
    password: str | None = text_field(
        "Of a registration on another device: the password that the account gets, as it was given to `register` or "
        "another one. Of an account's address, without a session: the password of the account.",
        max_length=limits.PASSWORD_MAX,
        default=None,
    )


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
