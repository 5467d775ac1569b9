"""Emptying a world, which is much quicker than making a new one."""

from pymongo import timeout

from datasources.jobs.aws_clients import Addresses, open_clients
from datasources.jobs.opening import prepare_job_queue
from datasources.jobs.queue import SET_ASIDE
from datasources.mongo.indexes import INDEXES
from domain.jobs import WORKERS
from tests.support.factories import World

SECONDS = 120.0  # for all documents of the largest tests


async def wipe_redis(world: World) -> None:
    """Deletes every key that this world has in Redis, as FLUSHALL would."""
    for key in await world.redis_keys():
        await world.redis_of(key).delete(key)


async def lose_jobs(world: World) -> None:
    """Empties Redis and the job queue, wherever that is."""
    await wipe_redis(world)
    settings = world.sources.settings
    if settings.job_queue != "sns-sqs":
        return
    queues = [worker for worker in (*WORKERS, SET_ASIDE) if await world.sources.job_queue.depth(worker)]
    if queues:
        async with open_clients(settings) as (_, sqs):
            addresses = Addresses(sqs, settings)
            for worker in queues:  # purging is allowed once a minute only
                await sqs.delete_queue(QueueUrl=await addresses.queue(worker))
        await prepare_job_queue(settings)


async def empty(world: World) -> World:
    """Deletes all documents and keys. Returns the same world; indexes and files stay."""
    with timeout(SECONDS):
        for name in INDEXES:
            await world.sources.database[name].delete_many({})
    await lose_jobs(world)
    return world


async def empty_with_files(world: World) -> World:
    """As `empty`, for a world with buckets of its own: deletes all files, and collections that the product has not."""
    await empty(world)
    database, blobs = world.sources.database, world.sources.blobs
    for name in set(await database.list_collection_names()) - INDEXES.keys():
        await database.drop_collection(name)
    await blobs.delete_media([blob.key async for blob in blobs.list_media()])
    await blobs.delete_incoming([blob.key async for blob in blobs.list_incoming()])
    return world
