"""The inputs of mutations about how an account is entered: proofs, tokens, second factors."""

import strawberry

from domain import limits
from domain.access_scopes import AccessScope
from schema.fields import plain
from schema.text_fields import text_field


@strawberry.input
class ConfirmIdentityInput:
    password: str = text_field("The viewer's password.", max_length=limits.PASSWORD_MAX)


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
