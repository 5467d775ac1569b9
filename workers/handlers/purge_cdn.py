"""What was deleted from storage is removed from the CDN too."""

import hashlib
from collections.abc import Collection
from datetime import timedelta
from itertools import chain

import structlog
from bson import ObjectId

from datasources.mongo import clock
from datasources.s3.cdn import CdnBusyError
from datasources.s3.storage import LONGEST_AT_EDGES
from workers.runtime.handler import RetryLater, Tools

log = structlog.get_logger(__name__)

CHUNK = 200  # facts of one call


async def purge_cdn(tools: Tools, key: str) -> Collection[str]:
    """Removes an account's deleted public files from the CDN.

    The files are gone first: an edge would fetch one that is still there. What was deleted so long ago that every edge
    has asked storage since is done, so a CDN that is away for long leaves no more than that to do.

    Safe to run twice: a file that is removed once more is only fetched in vain. Raises RetryLater while CloudFront has
    too many invalidations in progress.
    """
    sources, account = tools.sources, ObjectId(key)
    purges = await sources.purges.pending(account, CHUNK)
    await sources.purges.delete_again(purges)
    since = clock.now() - timedelta(seconds=LONGEST_AT_EDGES)
    recent = [purge for purge in purges if purge.deleted_at is None or purge.deleted_at > since]
    keys = list(dict.fromkeys(chain.from_iterable(purge.keys for purge in recent)))
    if len(recent) < len(purges):
        log.warning("cdn.purge_too_late", facts=len(purges) - len(recent))
    if keys:
        reference = hashlib.sha256(b"".join(purge.id.binary for purge in recent)).hexdigest()
        try:
            await sources.cdn.purge(keys, reference)
        except CdnBusyError as error:
            raise RetryLater from error
    await sources.purges.mark_done(purges)
    return [key] if len(purges) == CHUNK else ()
