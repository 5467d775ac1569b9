"""What limits the clients of one process: general points and actions, over the same buckets."""

from datetime import timedelta

from config import Settings
from datasources.rate_limits.actions import ActionLimits
from datasources.rate_limits.buckets import Buckets
from datasources.rate_limits.points import Points, RoleOf
from datasources.rate_limits.redis_buckets import RedisBuckets
from datasources.rate_limits.spam_signals import SpamSignals
from datasources.redis.servers import RedisServers


class RateLimiters:
    """`points` are for every operation, `actions` for single ones; by `spam_signals` one of these may count more."""

    def __init__(self, settings: Settings, servers: RedisServers, role_of: RoleOf) -> None:
        limits = settings.limits_of_clients
        buckets = Buckets(RedisBuckets(servers, settings.key_prefix))
        self.points = Points(buckets, limits, role_of)
        new_for = timedelta(hours=settings.new_account_hours)
        self.actions = ActionLimits(buckets, limits, role_of, new_for=new_for)
        # Buckets of their own: a flood of texts must not have this process lose count of logins.
        signals = Buckets(RedisBuckets(servers, f"{settings.key_prefix}spam:"))
        self.spam_signals = SpamSignals(signals, settings.spam_screen, is_on=limits.is_on)
