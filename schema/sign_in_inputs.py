"""The inputs of mutations about how an account is entered: proofs, tokens, second factors."""

import strawberry

from domain import limits
from domain.access_scopes import AccessScope
from schema.fields import plain
from schema.inputs import DeviceInput
from schema.text_fields import text_field

_CODE = "A code of the app, or a recovery code; spaces and hyphens make no difference."
_ANSWER = "JSON of the browser's or phone's answer, as `PublicKeyCredential.toJSON()` has it."


@strawberry.input
class ConfirmIdentityInput:
    """One of the three."""

    password: str | None = text_field("The viewer's password.", max_length=limits.PASSWORD_MAX, default=None)
    one_time_code: str | None = text_field(_CODE, max_length=limits.ONE_TIME_CODE_MAX, default=None)
    passkey: str | None = text_field(
        f"An answer to beginPasskeyLogin. {_ANSWER}",
        max_length=limits.PASSKEY_ANSWER_MAX,
        default=None,
    )


@strawberry.input
class CreateAccessTokenInput:
    name: str = text_field("What the viewer calls it, on one line.", max_length=limits.CLIENT_NAME_MAX)
    scopes: list[AccessScope] = plain("What it may be used for.", max_items=len(AccessScope))
    days: int | None = plain(
        f"How long it is good for; {limits.ACCESS_TOKEN_DAYS_DEFAULT} when left out, {limits.ACCESS_TOKEN_DAYS_MAX} at "
        "most.",
        default=None,
    )


@strawberry.input
class RevokeAccessTokenInput:
    access_token_id: strawberry.ID = plain("The access token.")


@strawberry.input
class PasswordInput:
    password: str | None = text_field(
        "The viewer's password, where there is no fresh proof.", max_length=limits.PASSWORD_MAX, default=None
    )


@strawberry.input
class OneTimeCodeInput:
    one_time_code: str = text_field(_CODE, max_length=limits.ONE_TIME_CODE_MAX)


@strawberry.input
class DisableSecondFactorInput(OneTimeCodeInput, PasswordInput):
    """A code, and the password where there is no fresh proof."""


@strawberry.input
class CompleteLoginInput(DeviceInput):
    challenge: str = text_field("The challenge of the login's `secondFactor`.", max_length=limits.TOKEN_MAX)
    one_time_code: str | None = text_field(_CODE, max_length=limits.ONE_TIME_CODE_MAX, default=None)
    passkey: str | None = text_field(
        f"In place of a code, an answer to beginPasskeyLogin. {_ANSWER}",
        max_length=limits.PASSKEY_ANSWER_MAX,
        default=None,
    )


@strawberry.input
class ConfirmPasskeyInput:
    name: str = text_field("What the viewer calls it, on one line.", max_length=limits.PASSKEY_NAME_MAX)
    passkey: str = text_field(_ANSWER, max_length=limits.PASSKEY_ANSWER_MAX)


@strawberry.input
class RemovePasskeyInput:
    passkey_id: strawberry.ID = plain("The passkey.")


@strawberry.input
class BeginPasskeyLoginInput:
    challenge: str | None = text_field(
        "The challenge of a login's `secondFactor`, if the passkey is to complete that.",
        max_length=limits.TOKEN_MAX,
        default=None,
    )


@strawberry.input
class LoginWithPasskeyInput(DeviceInput):
    passkey: str = text_field(_ANSWER, max_length=limits.PASSKEY_ANSWER_MAX)


_NONCE = "The nonce that beginIdentity answered, also if the issuer was given its SHA-256 in hexadecimal."


@strawberry.input
class BeginIdentityInput:
    issuer: str = text_field("The issuer, such as `https://accounts.google.com`.", max_length=limits.ISSUER_MAX)


@strawberry.input
class LinkIdentityInput(BeginIdentityInput):
    id_token: str = text_field("The ID token of the issuer.", max_length=limits.ID_TOKEN_MAX)
    nonce: str = text_field(_NONCE, max_length=limits.TOKEN_MAX)


@strawberry.input
class LoginWithIdentityInput(DeviceInput):
    issuer: str = text_field("The issuer, such as `https://accounts.google.com`.", max_length=limits.ISSUER_MAX)
    id_token: str = text_field("The ID token of the issuer.", max_length=limits.ID_TOKEN_MAX)
    nonce: str = text_field(_NONCE, max_length=limits.TOKEN_MAX)


@strawberry.input
class UnlinkIdentityInput:
    linked_identity_id: strawberry.ID = plain("The linked identity.")
