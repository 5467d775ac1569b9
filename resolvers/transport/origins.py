"""Which browser origins may call the API: the one rule for CORS and for sockets."""

import re
from collections.abc import Iterable


def origin_pattern(origins: Iterable[str]) -> re.Pattern[str]:
    """What an allowed `Origin` header matches as a whole.

    In an origin `*` stands for any part of a host name or, after a colon, for any port; alone it stands for everything.
    """
    return re.compile("|".join(_part(origin) for origin in origins) or "(?!)", re.IGNORECASE)


def _part(origin: str) -> str:
    if origin == "*":
        return ".*"
    return re.escape(origin.rstrip("/")).replace(r":\*", r":\d+").replace(r"\*", r"[^/:@]*")
