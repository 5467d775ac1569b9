"""Password hashing with argon2id, off the event loop and a bounded number at a time.

Inline, twenty logins at once stall the loop for 0.6 s; in a thread behind a semaphore, for 7 ms (measured).
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from datasources.concurrency.fair_turns import FairTurns, NoTurnError, Turn
from domain.errors import Refusal, UserErrorCode
from domain.password_rules import prepared_password

Result = TypeVar("Result")

CONCURRENT_HASHES = 2
MAX_WAITING = 128  # about four seconds of work; beyond it the client is told to come back
RETRY_AFTER_MS = 2_000


class Passwords:
    """Hashes and checks passwords; one per process.

    `asked_by` names to whom a request counts: its account, its address. Whoever has asked least lately goes first
    (`fair_turns`); a right password does not count. The prepared password (`domain/password_rules.py`) is hashed.
    """

    def __init__(self) -> None:
        # OWASP's second recommendation: 19 MiB, two passes, one lane.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._turns = FairTurns(CONCURRENT_HASHES, MAX_WAITING)
        self._nobody = self._hasher.hash("the password of nobody")

    async def hash(self, password: str, *asked_by: Hashable) -> str:
        """A new salted hash, self-describing. Raises Refusal (BUSY) when too many wait."""
        return await self._run(asked_by, self._hasher.hash, prepared_password(password))

    async def verify(self, password_hash: str | None, password: str, *asked_by: Hashable) -> bool:
        """Whether the password is right; takes as long without an account (None) as with one. Raises Refusal (BUSY)."""
        is_right = await self._run(asked_by, self._check, password_hash or self._nobody, prepared_password(password))
        return is_right and password_hash is not None

    def _check(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, asked_by: Sequence[Hashable], function: Callable[..., Result], *arguments: str) -> Result:
        try:
            turn = await self._turns.begin(asked_by)
        except NoTurnError:
            message = "Too many people are logging in; try again soon."
            raise Refusal(UserErrorCode.BUSY, message, retry_after_ms=RETRY_AFTER_MS) from None
        # The thread goes on when its caller is cancelled, and its turn ends with it.
        return await asyncio.shield(self._work(turn, function, *arguments))

    async def _work(self, turn: Turn, function: Callable[..., Result], *arguments: str) -> Result:
        is_right = False
        try:
            result = await asyncio.to_thread(function, *arguments)
            is_right = result is True
            return result
        finally:
            self._turns.end(turn, uncount=is_right)
