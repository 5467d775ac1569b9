"""What browsers and phones are asked about passkeys, and the check of what they answer (WebAuthn level 3).

Answers are the JSON of `PublicKeyCredential.toJSON()`, whose length the API bounds. Attestation is not asked for: any
authenticator will do. A counter that goes backwards is refused; passkeys that are synced count nothing.
"""

import re
from collections.abc import Sequence

import msgspec
import structlog
import webauthn
from bson import ObjectId
from webauthn.helpers import base64url_to_bytes, parse_client_data_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from config import Settings
from domain.limits import PASSKEY_CHALLENGE
from domain.records.factors import PasskeyRecord

log = structlog.stdlib.get_logger(__name__)

RP_NAME = "Photogram"
_TIMEOUT_MS = int(PASSKEY_CHALLENGE.total_seconds() * 1000)
_LOCALHOST = re.compile(r"http://localhost(:\d{1,5})?")
_TRANSPORTS = {transport.value for transport in AuthenticatorTransport}


class NewPasskey(msgspec.Struct, frozen=True):
    """What an authenticator says of a passkey that it has made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: list[str]
    is_backed_up: bool


class ClaimedPasskey(msgspec.Struct, frozen=True):
    """What an answer says of itself, before it is verified."""

    challenge: bytes
    credential_id: bytes
    user_handle: bytes | None


class _Response(msgspec.Struct, rename="camel"):
    client_data_json: str = msgspec.field(name="clientDataJSON")
    user_handle: str | None = None
    transports: list[str] = []


class _Answer(msgspec.Struct, rename="camel"):
    raw_id: str
    response: _Response


class PasskeyCeremonies:
    """Makes the options of both ceremonies and verifies their answers, for the domain and origins of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._rp_id = settings.passkey_rp_id
        self._origins = settings.passkey_origins

    def creation_options(
        self, user_id: ObjectId, username: str, display_name: str, known: Sequence[PasskeyRecord], challenge: bytes
    ) -> str:
        """JSON for `PublicKeyCredential.parseCreationOptionsFromJSON`; no authenticator makes a second passkey."""
        options = webauthn.generate_registration_options(
            rp_id=self._rp_id,
            rp_name=RP_NAME,
            user_id=user_id.binary,
            user_name=username,
            user_display_name=display_name,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            exclude_credentials=_described(known),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
            ),
        )
        return webauthn.options_to_json(options)

    def request_options(self, known: Sequence[PasskeyRecord], challenge: bytes) -> str:
        """JSON for `PublicKeyCredential.parseRequestOptionsFromJSON`; without known ones, the person chooses."""
        options = webauthn.generate_authentication_options(
            rp_id=self._rp_id,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            allow_credentials=_described(known),
            user_verification=UserVerificationRequirement.PREFERRED if known else UserVerificationRequirement.REQUIRED,
        )
        return webauthn.options_to_json(options)

    def claimed(self, answer: str) -> ClaimedPasskey | None:
        """What an answer says of itself; None for what is no answer."""
        try:
            parsed = msgspec.json.decode(answer, type=_Answer)
            client_data = parse_client_data_json(base64url_to_bytes(parsed.response.client_data_json))
            handle = parsed.response.user_handle
            return ClaimedPasskey(
                client_data.challenge,
                base64url_to_bytes(parsed.raw_id),
                None if handle is None else base64url_to_bytes(handle),
            )
        except Exception as error:  # noqa: BLE001  whatever an answer makes the library raise, it is none
            log.info("passkey answer not read", error=type(error).__name__)
            return None

    def verify_creation(self, answer: str, challenge: bytes) -> NewPasskey | None:
        """The new passkey; None if the answer is not valid for this challenge, domain and origin."""
        try:
            verified = webauthn.verify_registration_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._allowed_origin(answer),
            )
            transports = msgspec.json.decode(answer, type=_Answer).response.transports
        except Exception as error:  # noqa: BLE001  whatever an answer makes the library raise, it is not valid
            log.info("passkey not registered", error=type(error).__name__)
            return None
        return NewPasskey(
            verified.credential_id,
            verified.credential_public_key,
            verified.sign_count,
            sorted(_TRANSPORTS.intersection(transports)),
            verified.credential_backed_up,
        )

    def verify_use(
        self, answer: str, passkey: PasskeyRecord, challenge: bytes, *, is_person_verified: bool
    ) -> int | None:
        """The passkey's new counter; None if the answer is not valid.

        With `is_person_verified` the authenticator must have asked for a PIN, a finger or a face, not only for a touch.
        """
        try:
            verified = webauthn.verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._allowed_origin(answer),
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=is_person_verified,
            )
        except Exception as error:  # noqa: BLE001  whatever an answer makes the library raise, it is not valid
            log.info("passkey refused", error=type(error).__name__)
            return None
        return verified.new_sign_count

    def _allowed_origin(self, answer: str) -> str:
        """The origin in an answer. Raises ValueError if it is not allowed, or the page was in another's frame."""
        encoded = msgspec.json.decode(answer, type=_Answer).response.client_data_json
        client_data = parse_client_data_json(base64url_to_bytes(encoded))
        origin = client_data.origin
        if client_data.cross_origin or not isinstance(origin, str) or not self._is_allowed(origin):
            raise ValueError("the origin is not allowed")
        return origin

    def _is_allowed(self, origin: str) -> bool:
        if self._origins:
            return origin in self._origins
        if self._rp_id == "localhost":
            return _LOCALHOST.fullmatch(origin) is not None
        return origin == f"https://{self._rp_id}"


def _described(known: Sequence[PasskeyRecord]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=passkey.credential_id, transports=[AuthenticatorTransport(each) for each in passkey.transports]
        )
        for passkey in known
    ]
