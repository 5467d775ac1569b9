"""Every mutation is open to suspended accounts for a reason, or refused."""

from collections.abc import AsyncIterator
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_required_input_field,
)

from domain.records.users import AccountStanding
from resolvers.api import schema
from tests.support.factories import World

_LOGS_IN = "who is suspended logs in, to read, export, appeal and delete"
_SECURES = "keeps others out of the account"
OPEN = {
    "register": "needs no session",
    **dict.fromkeys(("login", "completeLogin", "refreshSession"), _LOGS_IN),
    **dict.fromkeys(("beginPasskeyLogin", "loginWithPasskey", "beginIdentity", "loginWithIdentity"), _LOGS_IN),
    **dict.fromkeys(("confirmIdentity", "logout", "revokeSession", "revokeOtherSessions"), _SECURES),
    **dict.fromkeys(("changePassword", "requestPasswordReset", "resetPassword", "undoEmailChange"), _SECURES),
    **dict.fromkeys(("verifyEmail", "requestEmailVerification", "requestEmailChange"), _SECURES),
    **dict.fromkeys(("beginSecondFactor", "confirmSecondFactor", "renewRecoveryCodes"), _SECURES),
    **dict.fromkeys(("disableSecondFactor", "beginPasskey", "confirmPasskey", "removePasskey"), _SECURES),
    **dict.fromkeys(("unlinkIdentity", "revokeAccessToken"), _SECURES),
    "acceptTerms": "asked of everybody who uses the service",
    "requestExport": "what is theirs",
    "deleteAccount": "what is theirs",
    "deactivateAccount": "for who has not accepted the terms; the store refuses suspended accounts",
    "appealDecision": "against the suspension",
    **dict.fromkeys(("deletePost", "deleteComment", "cancelUpload"), "takes back what is theirs"),
    **dict.fromkeys(("unsavePost", "deleteCollection"), "takes back what is theirs"),
    **dict.fromkeys(("markNotificationsSeen", "markNotificationsRead", "updatePreferences"), "goes with reading"),
}


def smallest(type_: Any) -> Any:
    """A value of an input type, with what it needs."""
    if isinstance(type_, GraphQLNonNull):
        return smallest(type_.of_type)
    if isinstance(type_, GraphQLList):
        return []
    if isinstance(type_, GraphQLInputObjectType):
        fields = type_.fields.items()
        return {name: smallest(field.type) for name, field in fields if is_required_input_field(field)}
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    return {"Int": 1, "Float": 1.0, "Boolean": True, "Upload": _file()}.get(type_.name, "x")


async def _file() -> AsyncIterator[bytes]:
    yield b""


async def test_suspended_accounts_are_refused_all_but_what_is_listed(world: World) -> None:
    mutations = schema._schema.mutation_type
    assert mutations is not None
    is_open = {}
    for name, field in mutations.fields.items():
        ana = await world.user()
        suspended = await world.set_standing(ana, AccountStanding.SUSPENDED)
        wanted = field.args["input"].type
        document = (
            f"mutation ($input: {get_named_type(wanted)}!) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}"
        )
        result = await world.execute(document, suspended, input=smallest(wanted))
        codes = [] if result.data is None else [error["code"] for error in result.data[name]["userErrors"]]
        is_open[name] = codes != ["ACCOUNT_SUSPENDED"]
        assert is_open[name] or result.errors is None
    assert {name for name, answer in is_open.items() if answer} == OPEN.keys()
