"""How much an account, an address or a name may do in some time: names and numbers, without input or output.

A limit restores itself evenly (GCRA): `30/600` lets 30 through at once, and one more every 20 seconds. So in any 600
seconds at most 60 pass, and never more than 30 in a moment.
"""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple, Self

from domain.errors import RequestError, RequestErrorCode
from domain.limits import OPERATION_COST_MAX

# Points of an operation besides its cost. The smallest query takes as much processor time as 100 fields of a page, one
# that reads something as 200 to 300, a mutation as 1,000.
OPERATION_POINTS = 300
LARGEST = OPERATION_COST_MAX + OPERATION_POINTS
NEW = "new"  # the role, for actions, of an account younger than the setting `new_account_hours`
MEMBER = "member"


class Action(StrEnum):
    """What has limits of its own besides the general points; each use counts, also several in one document."""

    LOGIN = "login"  # by a wrong password
    LOGINS = "logins"  # by any: each costs the hash of a password
    REGISTER = "register"
    PASSWORD_RESET = "password-reset"  # noqa: S105
    MAIL = "mail"  # to verify an address
    PROOF = "proof"
    COMMENT = "comment"
    FOLLOW = "follow"
    POST = "post"
    EDIT = "edit"
    REPORT = "report"
    SEARCH = "search"
    SAVE = "save"  # and changes of collections


class Subject(StrEnum):
    """To whom a use counts. A use counts to each of its subjects that has a limit for the action."""

    ACCOUNT = "account"  # who is signed in
    ADDRESS = "address"  # an IPv4 address, or an IPv6 /64
    NAME = "name"  # what a stranger names: a login, an address to send mail to, the account that a code is for
    DEVICE = "device"  # a known device of an account


class Limit(NamedTuple):
    """At most `maximum` at once, restored evenly over `seconds`."""

    maximum: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds that restore one."""
        return self.seconds / self.maximum

    @property
    def rate(self) -> float:
        """How many are restored in a second."""
        return self.maximum / self.seconds

    def available(self, backlog: float) -> int:
        """How many may pass when all are restored after `backlog` seconds."""
        return math.floor((self.seconds - max(0.0, backlog)) / self.interval + 1e-6)

    def wait(self, backlog: float, count: int) -> float:
        """Seconds until `count` may pass, or all that ever can."""
        return max(0.0, backlog + min(count, self.maximum) * self.interval - self.seconds)

    def times(self, factor: float) -> Self:
        """So many times as much in the same time; at least one, and not more than an Int of GraphQL can say."""
        return type(self)(min(max(1, round(self.maximum * factor)), 2**31 - 1), self.seconds)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `30/600`. Raises ValueError."""
        maximum, _, seconds = text.partition("/")
        limit = cls(int(maximum), float(seconds))
        if not (limit.maximum > 0 and 0 < limit.seconds < math.inf):
            raise ValueError(f"{text!r} is no limit: write 30/600 for 30 that are restored over 600 seconds")
        return limit


POINTS, POINTS_OF_TOKEN = "points", "points.token"
POINTS_OF_ADDRESS, POINTS_OF_STRANGER = "points.address", "points.stranger"
REFUSED_REQUESTS, REFUSED_REQUESTS_OF_TOKEN = "refused-requests", "refused-requests.token"

# Of a member; the setting `rate_limits` replaces single ones. Those of login let at most 30 passwords be tried in five
# minutes: an account's four names (mail address, handle, two former handles) by 5 + 2 each, or one address by 15 + 11.
DEFAULTS: Mapping[str, str] = {
    POINTS: "100000/100",  # some 90 full pages of a feed at once or 330 small queries, then one or three a second
    POINTS_OF_TOKEN: "75000/75",  # one runaway client leaves something to the account's others
    POINTS_OF_STRANGER: "60000/30",  # of all requests without a session from one address, which many may share
    POINTS_OF_ADDRESS: "20000000/100",  # of all requests with a session: a whole university may have one address
    # Not points but requests without any, at each process. Phones that wake behind one address send twenty each with a
    # token that has expired meanwhile, before they refresh it.
    REFUSED_REQUESTS: "3000/60",
    REFUSED_REQUESTS_OF_TOKEN: "300/60",
    "login.name": "5/600",
    "login.address": "15/400",
    "login.device": "10/900",
    # Restored faster than those of wrong passwords, so that who only guesses does not use them up.
    "logins.name": "20/1200",
    "logins.device": "20/1200",
    "register.address": "30/3600",
    "password-reset.name": "3/3600",
    "password-reset.address": "10/3600",
    "mail.account": "5/3600",
    "mail.name": "3/3600",
    "mail.address": "10/3600",
    "proof.account": "8/800",
    "proof.name": "8/800",
    "proof.address": "15/400",
    "comment.account": "60/600",
    "follow.account": "120/3600",
    "post.account": "20/3600",
    "edit.account": "60/3600",
    "report.account": "20/3600",
    "report.address": "5/3600",
    "save.account": "300/600",
    "search.account": "240/120",
    "search.address": "60/60",
}
ROLE_FACTORS: Mapping[str, float] = {
    MEMBER: 1.0,
    NEW: 0.25,
    "trusted": 2.0,
    "moderator": 4.0,
    "administrator": 4.0,
    "service": 10.0,
}


class RateLimits:
    """The limit of each name for each role."""

    def __init__(self, given: Mapping[str, str], factors: Mapping[str, float], factor: float = 1.0) -> None:
        """`given` and `factors` replace single defaults; `factor` multiplies all. Raises ValueError for what is none.

        Limits of addresses, names, devices and proofs are the same for every role.
        """
        unknown = sorted({*given} - {*DEFAULTS})
        if unknown:
            raise ValueError(f"there is no limit {unknown[0]!r}; there are {', '.join(DEFAULTS)}")
        if any(not 0 < each < math.inf for each in factors.values()):
            raise ValueError("the factor of a role is a number above 0")
        self.is_on = factor > 0
        limits = {name: Limit.parse(text).times(factor or 1.0) for name, text in {**DEFAULTS, **given}.items()}
        roles = {**ROLE_FACTORS, **factors}
        self._limits = {
            role: {
                name: limit.times(1.0 if _is_same_for_all(name) or (role == NEW and name in _GENERAL) else times)
                for name, limit in limits.items()
            }
            for role, times in roles.items()
        }
        for role, named in self._limits.items():
            for name in (*_GENERAL, POINTS_OF_STRANGER, POINTS_OF_ADDRESS):
                if named[name].maximum < LARGEST:
                    raise ValueError(f"{name} of the role {role} is too little for one operation: {LARGEST} at least")

    def of(self, name: str, role: str = MEMBER) -> Limit:
        """The limit of this name for a role; for an unknown role that of members."""
        return (self._limits.get(role) or self._limits[MEMBER])[name]

    def of_action(self, action: Action, role: str) -> dict[Subject, Limit]:
        """The limits of an action by what they count to."""
        limits = self._limits.get(role) or self._limits[MEMBER]
        named = {subject: f"{action}.{subject}" for subject in Subject}
        return {subject: limits[name] for subject, name in named.items() if name in limits}


_GENERAL = (POINTS, POINTS_OF_TOKEN)


def _is_same_for_all(name: str) -> bool:
    """What guards an account is as strict for a moderator's, and lets a new one set up its factors."""
    if name == f"{Action.PROOF}.{Subject.ACCOUNT}":
        return True
    return not name.endswith(f".{Subject.ACCOUNT}") and name not in _GENERAL


class Throttle(NamedTuple):
    """The general points of a client, as far as this process knows."""

    maximum: int
    available: int
    restore_rate_per_second: float

    @property
    def seconds_to_full(self) -> int:
        return math.ceil((self.maximum - self.available) / self.restore_rate_per_second)


class RateLimited(RequestError):
    """The client has used up a limit; nothing was done."""

    def __init__(self, seconds: float, throttle: Throttle | None = None) -> None:
        """`seconds` is when the same request may pass. `throttle` is for general points."""
        wait_ms = max(1, math.ceil(seconds * 1000))
        message = f"Too much in a short time; nothing was done. Try again in {_spoken(seconds)}."
        super().__init__(RequestErrorCode.RATE_LIMITED, message, retry_after_ms=wait_ms)
        self.throttle = throttle


def _spoken(seconds: float) -> str:
    if seconds > 90:
        return f"{math.ceil(seconds / 60)} minutes"
    return "a second" if seconds <= 1 else f"{math.ceil(seconds)} seconds"


def parse_pairs(text: str) -> dict[str, str]:
    """Reads `name=value,name=value`. Raises ValueError."""
    pairs: Iterable[tuple[str, str, str]] = (part.partition("=") for part in text.split(",") if part.strip())
    read = {name.strip(): value.strip() for name, _, value in pairs}
    if "" in read or "" in read.values():
        raise ValueError("write name=value, with commas between several")
    return read
