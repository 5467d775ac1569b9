"""Plain clients of the servers that hold everything, for tests that look at all keys."""

from redis import Redis
from redis.cluster import parse_cluster_slots

from config import Settings
from datasources.redis.addresses import Kind, RedisAddress


def masters(settings: Settings) -> list[Redis]:
    """A client of the one server, or of each master of the cluster."""
    address = RedisAddress.parse(settings.redis_url)
    if address.kind is Kind.ONE:
        return [Redis.from_url(settings.redis_url, socket_timeout=5)]
    host, port = address.hosts[0]
    with Redis(host, port, socket_timeout=5) as redis:
        slots = parse_cluster_slots(redis.cluster("SLOTS"), current_host=host)
    primaries = {holders["primary"] for holders in slots.values()}
    return [Redis(name, number, socket_timeout=5) for name, number in sorted(primaries)]


def refused_by_slots(settings: Settings) -> int:
    """How many commands a cluster has refused, since its servers started, as their keys are in several slots."""
    refused = 0
    for redis in masters(settings):
        with redis:
            refused += redis.info("errorstats").get("errorstat_CROSSSLOT", {}).get("count", 0)
    return refused
