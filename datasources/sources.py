"""Everything a process talks to, and its stores: opened, wired and closed here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

from pymongo import ReadPreference
from pymongo.errors import PyMongoError
from pymongo.monitoring import CommandListener

from config import Settings
from datasources.accounts.access_tokens import AccessTokenStore
from datasources.accounts.barred_identifiers import BarredIdentifiers
from datasources.accounts.claims import copy_claims
from datasources.accounts.factor_changes import FactorChanges
from datasources.accounts.factor_stores import FactorStores
from datasources.accounts.fresh_proofs import FreshProofs
from datasources.accounts.known_devices import KnownDevices
from datasources.accounts.mail_recipients import RecipientStore
from datasources.accounts.mail_tokens import MailTokenStore
from datasources.accounts.password_changes import PasswordChanges
from datasources.accounts.password_hashing import Passwords
from datasources.accounts.roles import RoleReader
from datasources.accounts.search_terms import add_search_terms
from datasources.accounts.session_watch import SessionWatch
from datasources.accounts.sessions import SessionStore
from datasources.accounts.stores import AccountStores
from datasources.accounts.users import UserStore
from datasources.caches import Caches
from datasources.concurrency.background_writes import BackgroundWrites
from datasources.concurrency.process_exit import close_in_time
from datasources.concurrency.tasks import cancel_tasks, keep_running
from datasources.discovery.stores import DiscoveryStores
from datasources.events.opening import EventSinks, open_event_sinks, prepare_events
from datasources.events.webhook_endpoints import EndpointStore
from datasources.events.webhook_messages import MessageStore
from datasources.feed.entries import EntryStore
from datasources.feed.fan_outs import FanOutStore
from datasources.feed.feed_states import FeedStates
from datasources.feed.home_feed import HomeFeed
from datasources.feed.interests import InterestStore
from datasources.feed.live_listeners import FeedListeners
from datasources.feed.profile_visits import VisitStore
from datasources.feed.push_pull import PushPullStore
from datasources.feed.rankings import RankingStore
from datasources.graph.blocks import BlockStore
from datasources.graph.cached_relations import GraphWrites
from datasources.graph.deleted_account_relations import AccountRelations
from datasources.graph.followed_hashtags import FollowedHashtagStore
from datasources.graph.followers import FollowerStore, copy_follows
from datasources.graph.follows import FollowStore
from datasources.graph.mutes import MuteStore
from datasources.graph.viewer_relations import Relations
from datasources.jobs.aws_setup import prepare_upload_events
from datasources.jobs.dead_letters import DeadLetterStore
from datasources.jobs.opening import open_job_queue, prepare_job_queue
from datasources.jobs.queue import JobQueue
from datasources.mail.outbox import MailOutbox
from datasources.media.file_intake import Intake
from datasources.media.images import ImageStore
from datasources.media.purges import PurgeStore
from datasources.media.uploads import UploadStore
from datasources.moderation.moderation import Moderation
from datasources.mongo import clock
from datasources.mongo.client import Client, is_mongo_outage, open_mongo
from datasources.mongo.prepared import ensure_indexes, expect_indexes, refuse_old_form
from datasources.mongo.sharded_ids import ShardedIds
from datasources.mongo.watchdog import Watchdog
from datasources.notifications.notification_log import NotificationStore
from datasources.posts.commenting import CommentingStore
from datasources.posts.comments import CommentStore
from datasources.posts.kept_likes import KeptLikes
from datasources.posts.likes import LikeStore
from datasources.posts.listing import ListingStore
from datasources.posts.posts import PostStore
from datasources.posts.publishing import PublishingStore
from datasources.posts.read_your_writes import ReadYourWrites
from datasources.posts.tagged_posts import TaggedPostStore
from datasources.rate_limits.limiters import RateLimiters
from datasources.redis.cache_servers import CacheServers
from datasources.redis.pubsub import News
from datasources.redis.roles import RedisRoles, open_roles
from datasources.s3.cdn import Cdn, open_cdn
from datasources.s3.storage import Blobs, open_blobs
from datasources.saves.stores import SavedStores
from datasources.targets import Targets
from datasources.telemetry.metrics import readings
from domain.jobs import Fact, Task


class Sources:
    """The stores, and the connections that they use."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        redis: RedisRoles,
        blobs: Blobs,
        cdn: Cdn,
        job_queue: JobQueue,
        event_sinks: EventSinks,
    ) -> None:
        self.settings, self.client, self.redis, self.blobs, self.cdn = settings, client, redis, blobs, cdn
        self.database = database = client[settings.mongo_database]
        # For what nobody decides by: it may lag, and spares the primary.
        self.lagging_database = database.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
        self.job_queue = job_queue
        self.news = news = News(redis.news, settings.key_prefix)
        self.caches = caches = Caches(CacheServers(redis.cache, settings.key_prefix, reads=settings.caching))
        self.background_writes = BackgroundWrites()
        self.watchdog = Watchdog(settings, client)
        sharded_ids = ShardedIds(settings.sharded_ids_since)
        self.rate_limits = RateLimiters(settings, redis.cache, RoleReader(database).of)
        self.known_devices, self.fresh_proofs = KnownDevices(database, settings), FreshProofs(database)
        self._make_account_stores()
        graph_writes = GraphWrites(database, caches.relations, caches.first_pages, caches.known_people)
        self.follows = FollowStore(database, job_queue, graph_writes, sharded_ids)
        self.followers, self.relations = FollowerStore(database), Relations(database)
        self.blocks, self.mutes = BlockStore(database, job_queue, graph_writes), MuteStore(database, graph_writes)
        self.followed_hashtags = FollowedHashtagStore(database, caches.first_pages)
        self.account_relations = AccountRelations(database, job_queue, graph_writes)
        self.uploads = UploadStore(database, job_queue, news, sharded_ids, ttl=settings.upload_ttl)
        self.intake = Intake(
            self.uploads, blobs, max_concurrent=settings.files_at_once, max_time=settings.longest_file_request
        )
        self.posts = PostStore(database, job_queue, caches.posts, sharded_ids)
        self.publishing = PublishingStore(database, job_queue, caches.posts, caches.first_pages, sharded_ids)
        self.listings = ListingStore(database, job_queue, caches.posts, sharded_ids)
        url_ttl = settings.signed_url_ttl
        self.images = ImageStore(
            database, job_queue, self.publishing, caches.posts, caches.users, sharded_ids, url_ttl=url_ttl
        )
        self.purges = PurgeStore(database, job_queue, blobs, has_cdn=settings.purges_cdn)
        self.post_likes = LikeStore(database, Fact.POST_LIKE, job_queue, caches.like_marks.invalidate)
        self.comment_likes = LikeStore(database, Fact.COMMENT_LIKE, job_queue, caches.like_marks.invalidate)
        self.kept_post_likes, self.kept_comment_likes = KeptLikes(self.post_likes), KeptLikes(self.comment_likes)
        self.comments = CommentStore(database, job_queue, caches.comments, sharded_ids)
        self.commenting = CommentingStore(database, job_queue, caches.comments, sharded_ids)
        moderated = caches.users, caches.posts, caches.comments
        self.moderation = Moderation(
            database, job_queue, self.sessions, moderated, sharded_ids, self.mails, self.mail_recipients
        )
        self.saved, self.tagged_posts = SavedStores(database, job_queue, sharded_ids), TaggedPostStore(database)
        self.read_your_writes, self.targets = ReadYourWrites(database, sharded_ids), Targets(database, sharded_ids)
        self._make_feed_stores()
        self.notifications, self.dead_letters = NotificationStore(database, news), DeadLetterStore(database)
        self.webhook_endpoints = EndpointStore(database)
        self.discovery = DiscoveryStores(database, sharded_ids, caches.known_people)
        self.webhook_messages = MessageStore(database, job_queue, self.webhook_endpoints)
        webhooks = {Task.PUBLISH_WEBHOOKS: self.webhook_messages} if "webhooks" in settings.events else {}
        self.event_sinks: EventSinks = {**event_sinks, **webhooks}

    def _make_feed_stores(self) -> None:
        settings, database, job_queue, caches = self.settings, self.database, self.job_queue, self.caches
        active = timedelta(days=settings.feed_active_days)
        self.feed_states = FeedStates(
            database, job_queue, caches.first_pages, active=active, limit=settings.feed_following_limit
        )
        self.feed_entries = EntryStore(database, self.feed_states, caches.first_pages, self.follows, self.followers)
        read = self.posts, self.listings.entries, self.follows, self.followed_hashtags
        self.home_feed = HomeFeed(self.feed_entries, self.feed_states, caches.first_pages, *read)
        self.fan_outs = FanOutStore(database, job_queue, self.followers)
        self.push_pull = PushPullStore(
            database, job_queue, caches.users, caches.first_pages, self.followers, limit=settings.feed_push_limit
        )
        self.feed_listeners = FeedListeners(self.redis.news, settings.key_prefix, self.news, self.background_writes)
        self.visits = VisitStore(database, self.background_writes)
        self.interests, self.rankings = InterestStore(database, job_queue, self.visits), RankingStore(database)

    def _make_account_stores(self) -> None:
        settings, database, job_queue, news = self.settings, self.database, self.job_queue, self.news
        self.passwords, barred = Passwords(), BarredIdentifiers(database, settings)
        self.users = UserStore(database, job_queue, self.caches.users, barred)
        self.sessions = SessionStore(
            database, news, access_ttl=settings.access_token_ttl, refresh_ttl=settings.refresh_token_ttl
        )
        self.session_watch = SessionWatch(self.sessions, news)
        self.mails = MailOutbox(database, job_queue, is_on=settings.mail != "none")
        factor_changes = FactorChanges(database, self.mails)
        self.access_tokens = AccessTokenStore(database, self.sessions, factor_changes)
        self.factors = FactorStores(database, settings, factor_changes, barred, self.sessions)
        self.mail_recipients, self.mail_tokens = RecipientStore(database, barred), MailTokenStore(database)
        self.account = AccountStores(
            database, job_queue, self.caches.users, self.mails, self.mail_tokens, barred, settings
        )
        removal = self.factors.removal
        self.password_changes = PasswordChanges(database, self.sessions, self.mails, self.mail_tokens, removal, barred)


@contextlib.asynccontextmanager
async def open_sources(settings: Settings, listeners: Sequence[CommandListener] = ()) -> AsyncIterator[Sources]:
    """Opens everything. Connections are made on first use, but the one for news is kept open by a task.

    Background writes that wait when it closes are dropped, and what does not close in time is abandoned.

    Raises UnusableDatabaseError in production, on a database that was not prepared.
    """
    async with contextlib.AsyncExitStack() as stack:
        client = open_mongo(settings, listeners)
        stack.push_async_callback(close_in_time, client.close)
        if settings.environment == "production":
            await expect_indexes(client[settings.mongo_database])
        redis = open_roles(settings)
        stack.push_async_callback(close_in_time, redis.aclose)
        blobs = await stack.enter_async_context(open_blobs(settings))
        cdn = await stack.enter_async_context(open_cdn(settings))
        job_queue = await stack.enter_async_context(open_job_queue(settings, redis))
        event_sinks = await stack.enter_async_context(open_event_sinks(settings, redis))
        sources = Sources(settings, client, redis, blobs, cdn, job_queue, event_sinks)
        stack.push_async_callback(sources.caches.aclose)
        stack.push_async_callback(sources.factors.aclose)
        stack.enter_context(readings(sources.caches.read_counts))
        await stack.enter_async_context(redis.following())
        await _measure_time(client)
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "news": sources.news.run,
            "background writes": sources.background_writes.run,
            "session watch": sources.session_watch.run,
            "sessions": sources.sessions.keep_checking,
            "rate limits": sources.rate_limits.points.keep_returning,
            "watchdog": sources.watchdog.run,
            "clock": partial(clock.keep_measuring, client),
        }
        tasks = [asyncio.create_task(keep_running(name, loop), name=name) for name, loop in loops.items()]
        stack.push_async_callback(cancel_tasks, tasks)
        yield sources


async def _measure_time(client: Client) -> None:
    """Sets the clock, unless MongoDB is away. Raises what only an operator can change, such as credentials."""
    try:
        await clock.measure(client)
    except (PyMongoError, TimeoutError) as error:
        if isinstance(error, PyMongoError) and not is_mongo_outage(error):
            raise


async def prepare(settings: Settings) -> None:
    """Makes the collections, indexes, buckets and queues that are missing. Safe to repeat and side by side."""
    async with open_mongo(settings) as client:
        database = client[settings.mongo_database]
        await refuse_old_form(database)
        await copy_claims(database)
        await copy_follows(database)
        await add_search_terms(database)
        await ensure_indexes(database)
    async with open_blobs(settings) as blobs:
        await blobs.ensure_buckets()
        if settings.upload_events:
            await blobs.report_incoming(await prepare_upload_events(settings))
    await prepare_job_queue(settings)
    await prepare_events(settings)


async def check_prepared(settings: Settings) -> None:
    """Raises UnusableDatabaseError in production, on a database that was not prepared, as `open_sources` does."""
    if settings.environment == "production":
        async with open_mongo(settings) as client:
            await expect_indexes(client[settings.mongo_database])
