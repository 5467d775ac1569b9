"""Fills an empty Photogram with the demo: ten people, sixty posts, likes, comments, follows.

Everything takes the product's own way: the stores write facts, S3 gets the pictures by presigned requests, and the
workers' own handlers do what is pending, here and beside any worker that runs.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from config import Settings
from datasources.concurrency.tasks import Input, Output, run_all
from datasources.mongo import clock
from datasources.sources import Sources, open_sources, prepare
from datasources.telemetry.logs import configure_logging
from deploy.demo.activity import Activity
from deploy.demo.people import DEMO_USERNAME, PASSWORD, PEOPLE, Person, joined_at, user_id
from deploy.demo.publishing import Publisher
from deploy.demo.story import POSTS, PlannedPost, planned_posts
from deploy.local.errors import StartError
from domain.errors import Refusal
from domain.records.users import Device
from workers.exploring.recompute import recompute
from workers.rendering.pool import RenderPool
from workers.runtime.handler import Tools

CLIENT_NAME = "Photogram demo"
MARK = "demo"  # the collection, and its one document, that say how much of the demo is there
CONCURRENCY = 6
RENDERERS = 2


class DemoLogin(NamedTuple):
    """The login of the demo's user; the token is valid for an hour."""

    username: str
    password: str
    access_token: str


async def seed(settings: Settings, progress: Callable[[str], None], posts: int = POSTS) -> DemoLogin:
    """Makes what is missing of the demo, with its first `posts` posts, and opens a session for its user.

    Safe to repeat, to run side by side and to stop half way: it makes nothing twice. Once the demo was complete, a call
    takes one query and a login, and changes nothing that visitors did. Ends the demo's earlier session. Raises
    StartError in production, and if other people's accounts have the demo's names.
    """
    if settings.environment == "production":
        raise StartError("the demo's passwords are public; it is not for production")
    # On a terminal, which shows the progress, warnings such as of a job that was not enqueued would be noise.
    configure_logging(settings.log_format, "ERROR")
    # Pictures are PUT from here: by the servers' way to S3, not by the clients'.
    async with open_sources(settings.model_copy(update={"s3_public_endpoint_url": None})) as sources:
        marks = sources.database[MARK]
        mark = await marks.find_one({"_id": MARK})
        if mark is None or mark["posts"] < posts:
            await prepare(settings)
            await _fill(sources, progress, planned_posts(posts))
            await marks.update_one({"_id": MARK}, {"$max": {"posts": posts}}, upsert=True)
        return await _login(sources)


async def _fill(sources: Sources, progress: Callable[[str], None], planned: list[PlannedPost]) -> None:
    settings = sources.settings
    async with AsyncExitStack() as stack:
        pool = RenderPool(RENDERERS, settings.render_timeout, settings.render_memory_mb)
        tools = Tools(sources=sources, pool=await stack.enter_async_context(pool))
        now = clock.now()
        publisher = await stack.enter_async_context(Publisher(tools, now))
        activity = Activity(tools, now)
        progress("accounts")
        await _register(sources)
        await activity.follow()
        await _run_with_progress(publisher.avatar, [person.username for person in PEOPLE], progress, "avatars")
        records = await _run_with_progress(publisher.post, planned, progress, "posts")
        post_ids = {post.number: record.id for post, record in zip(planned, records, strict=True)}
        progress("likes and comments")
        await activity.react(planned, post_ids)
        await activity.save(planned, post_ids)
        progress("counts, feeds and notifications")
        await activity.drain()
        await activity.make_latest_news(post_ids)
        await recompute(sources, clock.now())


async def _register(sources: Sources) -> None:
    password_hash = await sources.passwords.hash(PASSWORD)  # one for all: the password is no secret
    accounts = await sources.users.by_ids([user_id(person.username) for person in PEOPLE])
    for person, account in zip(PEOPLE, accounts, strict=True):
        if account is None:
            await _register_person(sources, person, password_hash)


async def _register_person(sources: Sources, person: Person, password_hash: str) -> None:
    try:
        await sources.users.register(
            person.username,
            f"{person.username}@demo.example",
            password_hash,
            person.display_name,
            joined_at(person.username),
            user_id=user_id(person.username),
            email_verified_at=joined_at(person.username),
            biography=person.biography,
            website=person.website,
            is_private=person.is_private,
        )
    except Refusal:
        (account,) = await sources.users.by_ids([user_id(person.username)])
        if account is None:  # or else another seeding was faster
            message = f"the database has an account {person.username!r} of its own; the demo needs one without it"
            raise StartError(message) from None


async def _run_with_progress(
    work: Callable[[Input], Awaitable[Output]], items: Sequence[Input], progress: Callable[[str], None], name: str
) -> list[Output]:
    done = 0

    async def run(item: Input) -> Output:
        nonlocal done
        output = await work(item)
        done += 1
        progress(f"{name} {done} of {len(items)}")
        return output

    return await run_all(CONCURRENCY, run, items)


async def _login(sources: Sources) -> DemoLogin:
    ana = user_id(DEMO_USERNAME)
    for session in await sources.sessions.of_user(ana):
        if session.client_name == CLIENT_NAME:
            await sources.sessions.end(ana, session.id)
    _, tokens = await sources.sessions.open(ana, Device(client_name=CLIENT_NAME), clock.now())
    return DemoLogin(DEMO_USERNAME, PASSWORD, tokens.access_token)
