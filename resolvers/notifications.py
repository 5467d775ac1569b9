"""Notifications: the list, marking it as seen or read, and the subscription."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

import strawberry

from datasources.notifications.notification_log import notifications_topic
from domain.errors import BadInput, NotFound
from domain.ids import expect_id
from domain.limits import NODES_MAX
from domain.paging import PageRequest
from resolvers.root_fields import mutation, query, subscription
from resolvers.transport.audiences import Reader
from schema.connection import ConnectionData, visible_page
from schema.context import Info
from schema.enums import NotificationKind
from schema.field_metadata import bounded
from schema.fields import After, Before, First, Last
from schema.notification import NOTIFICATION_TYPES, NotificationConnection, NotificationEvent, NotificationGap
from schema.notification_inputs import MarkNotificationsReadInput, MarkNotificationsSeenInput
from schema.payloads import ViewerPayload
from schema.viewer import signed_in

BATCH = 100


@query(NotificationConnection | None, "The viewer's notifications, latest first.", public=False)
async def notifications(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    unread_only: Annotated[bool | None, strawberry.argument(description="Only those not read.")] = False,
    kinds: Annotated[
        list[NotificationKind] | None,
        strawberry.argument(**bounded("Only these kinds.", len(NotificationKind))),
    ] = None,
) -> ConnectionData:
    viewer_id, log = info.context.require_viewer(), info.context.sources.notifications
    request = PageRequest.of(first, after, last, before)
    fetch = partial(log.of_recipient, viewer_id, unread_only=bool(unread_only), kinds=kinds)
    return await visible_page(request, fetch, info.context.loaders.visible_notifications)


@mutation("Marks the notifications up to a number as seen: the list was shown.", while_suspended=True)
async def mark_notifications_seen(info: Info, given: MarkNotificationsSeenInput) -> ViewerPayload:
    await info.context.sources.notifications.mark_seen(info.context.require_viewer(), given.up_to_seq)
    return ViewerPayload(viewer=signed_in(info.context.session))


@mutation("Marks notifications as read: they were opened.", while_suspended=True)
async def mark_notifications_read(info: Info, given: MarkNotificationsReadInput) -> ViewerPayload:
    viewer_id = info.context.require_viewer()
    if len(given.notification_ids or ()) > NODES_MAX:
        raise BadInput(f"At most {NODES_MAX} notificationIds at once; upToSeq takes any number.")
    ids = []
    for global_id in given.notification_ids or ():
        notification_id = next(filter(None, (expect_id(global_id, name) for name in NOTIFICATION_TYPES)), None)
        if notification_id is None:
            raise NotFound("notification", field=["notificationIds"])
        ids.append(notification_id)
    await info.context.sources.notifications.mark_read(viewer_id, ids, given.up_to_seq)
    return ViewerPayload(viewer=signed_in(info.context.session))


@subscription(
    NotificationEvent | None,
    "The viewer's notifications: first all after `after`, then live, none missing, none twice.",
)
async def notification_added(
    info: Info,
    after: Annotated[
        int | None, strawberry.argument(description="The last seq received; only live ones when left out.")
    ] = None,
) -> AsyncIterator[Any]:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    async with sources.news.listen(notifications_topic(viewer_id)) as listener:
        replayable = await sources.notifications.range_of(viewer_id)
        reader = Reader.of(listener.topic, replayable.newest if after is None else after)
        # Withdrawn notifications at or below the floor may be gone.
        if not replayable.floor <= reader.position <= replayable.newest:
            reader.position = replayable.newest
            gap = NotificationGap(oldest_seq=replayable.oldest, newest_seq=replayable.newest)
            yield NotificationEvent(seq=reader.position, gap=gap)
        while True:
            listener.clear()
            changed = await sources.notifications.changed_after(viewer_id, reader.position, BATCH)
            for notification in changed:
                reader.position = notification.seq
                yield NotificationEvent(seq=notification.seq, changed=notification)
            has_all = len(changed) < BATCH
            del changed  # an idle subscription keeps nothing of what it sent
            if has_all:
                # No notification may have the last numbers any more.
                listener.seen = reader.position = max(reader.position, replayable.newest)
                await reader.wait(listener.wait)
