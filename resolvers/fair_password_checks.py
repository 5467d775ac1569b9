"""Checks and hashes passwords fairly between clients, and lets other operations run meanwhile."""

from collections.abc import Hashable

from resolvers.transport.admission import lend_place
from schema.context import Info


async def is_password_right(info: Info, password_hash: str | None, password: str, account: Hashable) -> bool:
    """Whether a password is the account's. Takes as long if there is no account. Raises Refusal (BUSY)."""
    async with lend_place():
        return await info.context.sources.passwords.verify(password_hash, password, account, info.context.address)


async def hash_password(info: Info, password: str) -> str:
    """A new hash. Raises Refusal (BUSY)."""
    async with lend_place():
        return await info.context.sources.passwords.hash(password, info.context.address)
