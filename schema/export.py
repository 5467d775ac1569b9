"""Everything that an account has, in one archive."""

from datetime import datetime

import strawberry

from datasources.mongo import clock
from domain.limits import EXPORT_KEPT_DAYS, EXPORT_PAUSE_HOURS, PROOF_FRESH
from domain.records.exports import ExportRecord
from schema.context import Info
from schema.enums import ExportStatus
from schema.fields import computed, plain
from schema.node import Node, presents
from schema.scalars import Url


@strawberry.type(
    description="Everything that the viewer's account has, as a zip archive of JSON and images. An account has one: a "
    f"new one, {EXPORT_PAUSE_HOURS} hours later, replaces it. It is only there for its owner."
)
class Export(Node):
    is_type_of = presents(ExportRecord)

    status: ExportStatus = plain("How far it is.")

    @computed(ExportStatus, "The same as `status`, for a query that asks for the status of other types beside it.")
    def export_status(root: strawberry.Parent[ExportRecord]) -> ExportStatus:
        return root.status

    progress: float = plain("How much of it is made, from 0 to 1. Ask again after some seconds.")
    requested_at: datetime = plain("When it was requested.")
    byte_size: float | None = plain("The size of the archive in bytes; null until it is READY.")
    available_until: datetime | None = plain(
        f"When the archive is deleted, {EXPORT_KEPT_DAYS} days after it was made; null until it is READY."
    )

    @computed(
        Url | None,
        "Where to fetch the archive: an address that works at once and for some minutes, so ask for it when it is "
        "needed. Null until the export is READY, and unless the viewer has logged in or sent confirmIdentity "
        f"within the last {PROOF_FRESH.seconds // 60} minutes. Never with a personal access token.",
    )
    async def url(root: strawberry.Parent[ExportRecord], info: Info) -> str | None:
        session, sources = info.context.session, info.context.sources
        if root.available_until is None or session is None or session.scopes is not None:
            return None
        if not await sources.fresh_proofs.is_fresh(session.id, clock.now()):
            return None
        return await sources.blobs.exports.signed_url(root.key, f"photogram-{root.requested_at:%Y-%m-%d}.zip")
