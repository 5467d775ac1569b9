"""What the application provides to the transports, which know nothing of Photogram's sessions."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from datasources.rate_limits.points import FREE, Charge
from datasources.rate_limits.refused_requests import RefusedRequests
from domain.access_scopes import AccessScope
from resolvers.transport.admission import Client
from resolvers.transport.client_address import UntrustedProxies

Identity = Any  # what `authenticate` returns; opaque here


class Watch(Protocol):
    """Watches an identity for something that may live only as long as it is valid, such as a socket."""

    def renew(self, identity: Identity) -> None:
        """Goes on with this later state of the same identity. Another identity changes nothing."""

    def stop(self) -> None:
        """Stops watching. Safe to repeat."""


async def free_of_charge(_identity: Identity | None, _address: str, _cost: int, _sender: str) -> Charge:
    return FREE


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the application provides to the transports.

    - `authenticate` returns the identity of a bearer token, or of none; None for a bad one. It is called once for an
      HTTP request, unless `recall` answers, and once for a socket.
    - `recall` returns what `authenticate` has returned for a token lately, if it is known at once; else None. Only
      queries are run with it.
    - `make_context` gets the identity, the request's id and the client's network. It is called for each operation, and
      for each event of a subscription, so nothing that a context caches outlives either.
    - `identity_of` returns the identity of a context after its operation was run.
    - `watch` calls the function, once, when the identity's session is revoked or its token expires.
    - `is_outage` tells the absence of a dependency from a fault of ours.
    - `account` returns the owner of an identity.
    - `name_in_logs` returns what log lines say about an identity's owner, None for nothing.
    - `scopes` returns what an identity's token may be used for; None for everything.
    - `charge` takes the general points of an operation of an identity, from the client's network, with its cost; the
      last argument is to whom one without a session counts. Raises RateLimited.
    - `owner_of_device` returns to whom a request without a session counts that says to come from this known device,
      instead of its address; None for an unknown one. It asks nobody.
    - `refused` counts requests that were refused before they cost points, and refuses a flood of them.
    - `proxies` warns of a proxy that is not trusted.
    - `bad_token_identity` returns the identity with which an operation is run that answers this bad token.
    """

    authenticate: Callable[[str | None], Awaitable[Identity | None]]
    recall: Callable[[str], Identity | None] = lambda _token: None
    make_context: Callable[[Identity | None, str, str], object]
    identity_of: Callable[[Any], Identity | None]
    watch: Callable[[Identity, Callable[[], None]], Watch]
    is_outage: Callable[[BaseException], bool]
    account: Callable[[Identity], Client]
    name_in_logs: Callable[[Identity | None], str | None] = lambda _identity: None
    scopes: Callable[[Identity | None], Collection[AccessScope] | None] = lambda _identity: None
    charge: Callable[[Identity | None, str, int, str], Awaitable[Charge]] = free_of_charge
    owner_of_device: Callable[[str], str | None] = lambda _token: None
    refused: RefusedRequests = field(default_factory=RefusedRequests)
    proxies: UntrustedProxies = field(default_factory=UntrustedProxies)
    bad_token_identity: Callable[[str], Identity | None] = lambda _token: None
