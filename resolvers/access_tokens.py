"""Personal access tokens: made by a person who has just proved who they are, listed, revoked."""

from datetime import timedelta

from datasources.mongo import clock
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.limits import ACCESS_TOKEN_DAYS_DEFAULT, ACCESS_TOKEN_DAYS_MAX, CLIENT_NAME_MAX
from domain.rate_limits import Action
from domain.text import checked_line
from resolvers.fresh_proof import require_fresh_proof
from resolvers.root_fields import mutation
from schema.context import Info
from schema.payloads import ViewerPayload
from schema.sign_in_inputs import CreateAccessTokenInput, RevokeAccessTokenInput
from schema.sign_in_payloads import CreateAccessTokenPayload
from schema.viewer import signed_in


@mutation(
    "Makes a personal access token, for a program that acts for the viewer. Its text is shown this once. It can do "
    "what its scopes say; another operation is INSUFFICIENT_SCOPE. It can neither be refreshed nor log in, and cannot "
    "change the account, sessions or tokens. A new password, and `logout` everywhere, end all tokens. Needs a fresh "
    "proof (confirmIdentity). A client that lost the answer finds the token in `Viewer.accessTokens`, revokes it and "
    "makes another: its text cannot be had again.",
    scope=None,
    limited_as=Action.PROOF,
)
async def create_access_token(info: Info, given: CreateAccessTokenInput) -> CreateAccessTokenPayload:
    name = checked_line(given.name, "name", max_length=CLIENT_NAME_MAX, min_length=1)
    days = ACCESS_TOKEN_DAYS_DEFAULT if given.days is None else given.days
    if not 1 <= days <= ACCESS_TOKEN_DAYS_MAX:
        message = f"A token is good for 1 to {ACCESS_TOKEN_DAYS_MAX} days."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["days"])
    session = await require_fresh_proof(info)
    token, text = await info.context.sources.access_tokens.create(
        session, name, given.scopes, lifetime=timedelta(days=days), now=clock.now()
    )
    return CreateAccessTokenPayload(access_token=token, text=text)


@mutation(
    "Ends one of the viewer's personal access tokens, and its sockets, at once.", scope=None, while_suspended=True
)
async def revoke_access_token(info: Info, given: RevokeAccessTokenInput) -> ViewerPayload:
    session = info.context.require_session()
    token_id = expect_id(given.access_token_id, "AccessToken")
    if token_id is None or not await info.context.sources.access_tokens.revoke(session.user_id, token_id):
        raise NotFound("access token", field=["accessTokenId"])
    return ViewerPayload(viewer=signed_in(session))
