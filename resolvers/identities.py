"""Logging in with an identity of another service, such as Google or Apple, once its owner has linked it."""

import base64
import hashlib

from datasources.accounts.challenges import Purpose
from datasources.accounts.identity_tokens import Identity
from datasources.accounts.users import Credentials
from datasources.mongo import clock
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.limits import IDENTITY_NONCE
from domain.rate_limits import Action
from resolvers.fresh_proof import require_fresh_proof
from resolvers.rate_limits import count_use
from resolvers.root_fields import always, mutation
from resolvers.second_factor import second_step
from resolvers.sign_in import device_of, known_device, sign_in
from schema.context import Info
from schema.payloads import ViewerPayload
from schema.sign_in_inputs import BeginIdentityInput, LinkIdentityInput, LoginWithIdentityInput, UnlinkIdentityInput
from schema.sign_in_payloads import BeginIdentityPayload, LoginPayload
from schema.viewer import signed_in


@mutation(
    "Answers a nonce with which to ask an issuer of OpenID Connect for an ID token, within "
    f"{IDENTITY_NONCE.seconds // 60} minutes, for loginWithIdentity or linkIdentity.",
    answers_bad_token=always,
    while_suspended=True,
)
async def begin_identity(info: Info, given: BeginIdentityInput) -> BeginIdentityPayload:
    factors, expires_at = info.context.sources.factors, clock.now() + IDENTITY_NONCE
    if given.issuer not in factors.identity_tokens.issuers:
        raise Refusal(UserErrorCode.NOT_ALLOWED, "This service takes no identities of that issuer.", field=["issuer"])
    nonce = factors.challenges.issue(Purpose.IDENTITY, given.issuer.encode(), expires_at=expires_at)
    return BeginIdentityPayload(nonce=base64.urlsafe_b64encode(nonce).decode(), expires_at=expires_at)


@mutation(
    "Opens a session by an ID token, of the account that the identity is linked to; NOT_FOUND if it is linked to none. "
    "An account is never found by a mail address. One with a second factor answers as `login` does.",
    answers_bad_token=always,
    while_suspended=True,
)
async def login_with_identity(info: Info, given: LoginWithIdentityInput) -> LoginPayload:
    device_of(info, given)  # refuses a bad name of the client before the nonce is spent
    use = await count_use(info, Action.PROOF)
    sources = info.context.sources
    identity = await _proved(info, given.issuer, given.id_token, given.nonce)
    await use.give_back()
    user_id = await sources.factors.identities.owner(identity.issuer, identity.subject)
    password_hash = None if user_id is None else await sources.users.password_hash(user_id)
    if user_id is None or password_hash is None:
        message = "No account is linked to this identity: log in otherwise, and link it."
        raise Refusal(UserErrorCode.NOT_FOUND, message, field=["idToken"])
    account = Credentials(user_id, password_hash)
    return await second_step(info, account) or await sign_in(
        info, user_id, given, known=await known_device(info, user_id, given)
    )


@mutation(
    "Links an identity to the viewer's account, to log in with. Needs a proof of both: an ID token, and a fresh proof "
    "of who the viewer is (confirmIdentity). Linked again it answers as done.",
    scope=None,
    limited_as=Action.PROOF,
)
async def link_identity(info: Info, given: LinkIdentityInput) -> ViewerPayload:
    session = await require_fresh_proof(info)
    identity = await _proved(info, given.issuer, given.id_token, given.nonce)
    identities = info.context.sources.factors.identities
    await identities.link(session.user_id, identity.issuer, identity.subject, clock.now())
    return ViewerPayload(viewer=signed_in(session))


@mutation(
    "Unlinks an identity from the viewer's account. Needs a fresh proof (confirmIdentity).",
    scope=None,
    while_suspended=True,
)
async def unlink_identity(info: Info, given: UnlinkIdentityInput) -> ViewerPayload:
    session = await require_fresh_proof(info)
    identity_id = expect_id(given.linked_identity_id, "LinkedIdentity")
    identities = info.context.sources.factors.identities
    if identity_id is None or not await identities.unlink(session.user_id, identity_id):
        raise NotFound("linked identity", field=["linkedIdentityId"])
    return ViewerPayload(viewer=signed_in(session))


async def _proved(info: Info, issuer: str, id_token: str, nonce: str) -> Identity:
    """The identity that a token proves, whose nonce is spent. Raises Refusal (INVALID_CREDENTIALS, BUSY)."""
    factors, now = info.context.sources.factors, clock.now()
    try:
        challenge = base64.urlsafe_b64decode(nonce)
    except ValueError:
        raise _not_accepted() from None
    if factors.challenges.subject(challenge, Purpose.IDENTITY, now) != issuer.encode():
        raise _not_accepted()
    identity = await factors.identity_tokens.verify(issuer, id_token)
    # Apps on Apple's devices give the issuer a hash of the nonce.
    if identity is None or identity.nonce not in (nonce, hashlib.sha256(nonce.encode()).hexdigest()):
        raise _not_accepted()
    if not await factors.challenges.spend(challenge, lifetime=IDENTITY_NONCE, now=now):
        raise _not_accepted()
    return identity


def _not_accepted() -> Refusal:
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, "This identity is not accepted.", field=["idToken"])
