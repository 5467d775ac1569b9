"""Ways in which an account is used: logins on devices, and personal access tokens of programs."""

from datetime import datetime

import strawberry

from domain.records.users import AccessTokenRecord, SessionRecord
from schema.context import Info
from schema.enums import AccessScope
from schema.fields import computed, plain
from schema.node import Node, presents

_NETWORK = (
    "The range of addresses that it was opened from, or last refreshed from: the first three bytes of an IPv4 address, "
    "the first six of an IPv6 address."
)


@strawberry.type(description="A login on one device.")
class Session(Node):
    is_type_of = presents(SessionRecord)

    client_name: str | None = plain("What the client called itself.")
    platform: str | None = plain("What the client said it runs on.")
    network: str | None = plain(_NETWORK)
    created_at: datetime = plain("When it was opened.")
    last_used_at: datetime = plain("When it was last used.")

    @computed(bool, "Whether this request belongs to it.")
    def is_current(root: strawberry.Parent[SessionRecord], info: Info) -> bool:
        session = info.context.session
        return session is not None and session.id == root.id


@strawberry.type(
    description="A personal access token: a program acts with it for the account, as far as its scopes go."
)
class AccessToken(Node):
    is_type_of = presents(AccessTokenRecord)

    name: str = plain("What its owner calls it.")
    scopes: list[AccessScope] = plain("What it may be used for.", max_items=len(AccessScope))
    created_at: datetime = plain("When it was made.")
    last_used_at: datetime = plain("When it was last used.")
    expires_at: datetime = plain("When it ends by itself.")


@strawberry.type(description="Tokens of a session.")
class AuthTokens:
    """Presents `Tokens`."""

    access_token: str = plain("Send as `Authorization: Bearer`, or in the socket's connection_init payload.")
    access_token_expires_at: datetime = plain("When the access token ends.")
    refresh_token: str = plain("Give it to refreshSession, which replaces it.")
