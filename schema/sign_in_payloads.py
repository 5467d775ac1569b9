"""The payloads of mutations about how an account is entered."""

from datetime import datetime

import strawberry

from domain.limits import RECOVERY_CODES
from domain.records.factors import PasskeyRecord
from domain.records.users import AccessTokenRecord
from schema.fields import plain, shown
from schema.payloads import Payload, SessionPayload, ViewerPayload
from schema.second_factor import Passkey, SecondFactorStep
from schema.session import AccessToken


@strawberry.type
class LoginPayload(SessionPayload):
    second_factor: SecondFactorStep | None = plain(
        "With SECOND_FACTOR_REQUIRED: what completeLogin needs to finish this login.", default=None
    )


@strawberry.type
class ConfirmIdentityPayload(Payload):
    confirmed_until: datetime | None = plain("When the proof is no longer fresh.", default=None)


@strawberry.type
class CreateAccessTokenPayload(Payload):
    access_token: AccessTokenRecord | None = shown(AccessToken, "The new token.")
    text: str | None = plain("Its text, to be sent as `Authorization: Bearer`. It is not shown again.", default=None)


@strawberry.type
class BeginSecondFactorPayload(Payload):
    secret: str | None = plain("For an authenticator app, in Base32.", default=None)
    otpauth_url: str | None = plain("The same as an address to show as a QR code.", default=None)


@strawberry.type
class RecoveryCodesPayload(ViewerPayload):
    recovery_codes: list[str] | None = plain(
        "Each good once. They are not shown again.", default=None, max_items=RECOVERY_CODES
    )


@strawberry.type
class PasskeyOptionsPayload(Payload):
    options: str | None = plain(
        "JSON for `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON` of a browser; "
        "phones take the same.",
        default=None,
    )
    expires_at: datetime | None = plain("When they end.", default=None)


@strawberry.type
class ConfirmPasskeyPayload(ViewerPayload):
    passkey: PasskeyRecord | None = shown(Passkey, "The new passkey.")


@strawberry.type
class BeginIdentityPayload(Payload):
    nonce: str | None = plain("Give it to the issuer, and to loginWithIdentity or linkIdentity.", default=None)
    expires_at: datetime | None = plain("When it ends.", default=None)
