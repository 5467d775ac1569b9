"""Limits of single actions: logins, sign-ups, comments, follows and so on; each use takes one from its buckets."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta

from bson import ObjectId

from datasources.mongo import clock
from datasources.rate_limits.buckets import Buckets
from datasources.rate_limits.local_buckets import Want
from datasources.rate_limits.points import REFUSED, RoleOf
from domain.rate_limits import MEMBER, NEW, Action, RateLimited, RateLimits, Subject


class Use:
    """One use of an action, as it was counted."""

    def __init__(self, buckets: Buckets, wants: Sequence[Want]) -> None:
        self._buckets = buckets
        self._wants = wants

    async def give_back(self) -> None:
        """Uncounts it: it was no attack, as a login with the right password."""
        if self._wants:
            await self._buckets.give_back([want._replace(least=-want.most, most=-want.most) for want in self._wants])
            self._wants = ()


class ActionLimits:
    """Counts the uses of actions; one for a process."""

    def __init__(self, buckets: Buckets, limits: RateLimits, role_of: RoleOf, *, new_for: timedelta) -> None:
        """Accounts younger than `new_for` have the limits of the role `NEW`, unless they have another than members."""
        self._buckets = buckets
        self._limits = limits
        self._role_of = role_of
        self._new_for = new_for

    async def take(
        self,
        action: Action,
        subjects: Mapping[Subject, object],
        account_id: ObjectId | None = None,
        *,
        weight: int = 1,
    ) -> Use:
        """Counts a use to each subject that has a limit for the action. Raises RateLimited, and then counts nothing.

        The limits of accounts are those of this account's role. Texts are stored as hashes. With a `weight` it counts
        so many times, or as often as the whole limit.
        """
        if not self._limits.is_on:
            return Use(self._buckets, ())
        role = MEMBER if account_id is None else await self._role(account_id)
        limits = self._limits.of_action(action, role)
        wants = [
            Want(f"{action}.{subject}:{_hashed(subjects[subject])}", limit, number, number)
            for subject, limit in limits.items()
            for number in (min(weight, limit.maximum),)
            if subjects.get(subject) is not None
        ]
        taken = await self._buckets.take(wants) if wants else []
        short = [(want, each) for want, each in zip(wants, taken, strict=True) if each.is_short]
        if short:
            for want, _ in short:
                REFUSED.add(want.key.partition(":")[0])
            raise RateLimited(max(want.limit.wait(each.backlog, want.least) for want, each in short))
        return Use(self._buckets, wants)

    async def _role(self, account_id: ObjectId) -> str:
        role = await self._role_of(account_id)
        is_new = role == MEMBER and clock.now() - account_id.generation_time < self._new_for
        return NEW if is_new else role


def _hashed(subject: object) -> str:
    return hashlib.sha256(str(subject).encode(errors="replace")).hexdigest()[:32]
