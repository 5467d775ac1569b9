"""Password hashing with argon2id, off the event loop and a bounded number at a time.

Inline, twenty logins at once stall the loop for 0.6 s; in a thread behind a semaphore, for 7 ms (measured).
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.errors import Refusal, UserErrorCode

Result = TypeVar("Result")

AT_ONCE = 2
LONGEST_QUEUE = 64  # about two seconds of work; beyond it the client is told to come back


class Passwords:
    """Hashes and checks passwords; one per process."""

    def __init__(self) -> None:
        # OWASP's second recommendation: 19 MiB, two passes, one lane.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._queued = 0
        self._nobody = self._hasher.hash("the password of nobody")

    async def hash(self, password: str) -> str:
        """A new salted hash, self-describing. Raises Refusal (BUSY) when too many wait."""
        return await self._run(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is right; takes as long for no account (None) as for one. Raises Refusal (BUSY)."""
        right = await self._run(self._check, password_hash or self._nobody, password)
        return right and password_hash is not None

    def _check(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., Result], *arguments: str) -> Result:
        if self._queued >= LONGEST_QUEUE:
            raise Refusal(UserErrorCode.BUSY, "Too many people are logging in; try again soon.", retry_after_ms=2_000)
        self._queued += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(function, *arguments)
        finally:
            self._queued -= 1
