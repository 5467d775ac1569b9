"""Which browser origins may call the API: one rule for CORS, sockets, and requests that need no CORS preflight."""

import re
from collections.abc import Iterable, Mapping


def origin_pattern(origins: Iterable[str]) -> re.Pattern[str]:
    """What an allowed `Origin` header matches as a whole.

    In an origin `*` stands for any part of a host name or, after a colon, for any port; alone it stands for everything.
    """
    return re.compile("|".join(_part(origin) for origin in origins) or "(?!)", re.IGNORECASE)


def _part(origin: str) -> str:
    if origin == "*":
        return ".*"
    return re.escape(origin.rstrip("/")).replace(r":\*", r":\d+").replace(r"\*", r"[^/:@]*")


class Origins:
    """Tells requests of allowed pages from those of foreign ones."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = origin_pattern(allowed)

    def is_foreign(self, headers: Mapping[str, str]) -> bool:
        """Whether a page of an origin that is neither ours nor allowed sent this.

        Only browsers send `Origin` and `Sec-Fetch-Site`, and no page can change them; apps send neither. Without
        `Origin`, `Sec-Fetch-Site` tells that a page elsewhere loads an image or a script, or links to here.
        """
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None:
            return site in ("cross-site", "same-site")
        if site == "same-origin" or self._allowed.fullmatch(origin):
            return False
        own = {_host(headers[name]) for name in ("host", "x-forwarded-host") if name in headers}
        return _host(origin.partition("://")[2]) not in own


def _host(name: str) -> str:
    """A host with its port, without a default port."""
    return re.sub(r":(80|443)$", "", name.lower())
