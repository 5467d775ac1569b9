"""Everything that an account has, in archives."""

from datetime import datetime

import msgspec
import strawberry

from datasources.mongo import clock
from domain.limits import EXPORT_FILES_MAX, EXPORT_KEPT_DAYS, EXPORT_PAUSE_HOURS, PROOF_FRESH
from domain.records.exports import ExportRecord
from schema.context import Info
from schema.enums import ExportStatus
from schema.fields import computed, plain
from schema.node import Node, presents
from schema.scalars import Url


class ExportFileData(msgspec.Struct, frozen=True):
    """What an `ExportFile` presents."""

    key: str
    name: str
    byte_size: int
    is_open: bool  # to this session


@strawberry.type(description="One of the zip archives of an export. Each can be opened by itself.")
class ExportFile:
    """Presents an `ExportFileData`."""

    name: str = plain("What it is saved as.")
    byte_size: float = plain("Its size in bytes.")

    @computed(
        Url | None,
        "Where to fetch it: an address that works at once and for some minutes, so ask for it when it is needed. Null "
        "unless the viewer has logged in or sent confirmIdentity within the last "
        f"{PROOF_FRESH.seconds // 60} minutes. Never with a personal access token.",
    )
    async def url(root: strawberry.Parent[ExportFileData], info: Info) -> str | None:
        files = info.context.sources.blobs.exports
        return await files.signed_url(root.key, root.name) if root.is_open else None


@strawberry.type(
    description="Everything that the viewer's account has, as zip archives of JSON and images. An account has one: a "
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
    byte_size: float | None = plain("The size of all archives in bytes; null until it is READY.")
    available_until: datetime | None = plain(
        f"When the archives are deleted, {EXPORT_KEPT_DAYS} days after the last one was made; null until it is READY."
    )

    @computed(
        list[ExportFile],
        "Its archives, in order: one, but for an account with many gigabytes of images. Empty until it is READY.",
        max_items=EXPORT_FILES_MAX,
    )
    async def files(root: strawberry.Parent[ExportRecord], info: Info) -> list[ExportFileData]:
        session, fresh_proofs = info.context.session, info.context.sources.fresh_proofs
        is_person = session is not None and session.scopes is None
        is_open = is_person and session is not None and await fresh_proofs.is_fresh(session.id, clock.now())
        name = f"photogram-{root.requested_at:%Y-%m-%d}"
        return [
            ExportFileData(each.key, f"{name}.zip" if number == 1 else f"{name}-{number}.zip", each.byte_size, is_open)
            for number, each in enumerate(root.available_archives, start=1)
        ]
