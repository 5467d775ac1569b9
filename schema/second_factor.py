"""Second factors, passkeys and linked identities, as their owner sees them."""

from datetime import datetime

import strawberry

from domain.records.factors import IdentityRecord, PasskeyRecord
from schema.enums import SecondFactorMethod
from schema.fields import plain
from schema.node import Node, presents


@strawberry.type(description="The second step of a login.")
class SecondFactorStep:
    challenge: str = plain("Give it to completeLogin, and to beginPasskeyLogin for a passkey.")
    expires_at: datetime = plain("When it ends.")
    methods: list[SecondFactorMethod] = plain("What the account has.", max_items=len(SecondFactorMethod))


@strawberry.type(description="A passkey: logs in without a password, or as a second factor.")
class Passkey(Node):
    is_type_of = presents(PasskeyRecord)

    name: str = plain("What its owner calls it.")
    is_backed_up: bool = plain(
        "Whether it is synced, as those of phones are, so that losing the device loses no passkey."
    )
    created_at: datetime = plain("When it was added.")
    last_used_at: datetime = plain("When it was last used, or added.")


@strawberry.type(description="An identity of another service that logs in to the account.")
class LinkedIdentity(Node):
    is_type_of = presents(IdentityRecord)

    issuer: str = plain("Who vouches for it, such as `https://accounts.google.com`.")
    linked_at: datetime = plain("When it was linked.")
