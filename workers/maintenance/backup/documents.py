"""All documents of the database, as they are at one moment, in files."""

from pymongo import timeout
from pymongo.errors import OperationFailure

from datasources.mongo.client import Document, Session
from datasources.sources import Sources
from workers.maintenance.backup.folder import RAW, BackupError, BackupFolder
from workers.maintenance.walk import SECONDS, SNAPSHOT_GONE, Watch, unwatched

READ_AT_ONCE = 1_000
# A token that was used before would be good again; the archives of exports are not in a backup.
NOT_KEPT = ("exports", "leases", "mail_tokens")


async def write_documents(
    sources: Sources, folder: BackupFolder, name: str, watch: Watch = unwatched
) -> dict[str, int]:
    """Writes all collections into the folder `name` of a backup; returns how many documents each has.

    They are read from one snapshot. Raises BackupError if MongoDB does not keep it for long enough.
    """
    names = await sources.database.list_collection_names(filter={"type": "collection"})
    kept = sorted(each for each in names if each not in NOT_KEPT and not each.startswith("system."))
    written: dict[str, int] = {}
    try:
        async with sources.client.start_session(snapshot=True) as session:
            for number, collection in enumerate(kept):
                watch("documents", number, len(kept))
                written[collection] = await _write_collection(sources, folder, name, collection, session)
    except OperationFailure as error:
        if error.code in SNAPSHOT_GONE:
            raise BackupError(
                "reading took longer than MongoDB keeps a snapshot: set minSnapshotHistoryWindowInSeconds, or copy the "
                "disk of a member"
            ) from error
        raise
    return written


async def _write_collection(
    sources: Sources, folder: BackupFolder, name: str, collection: str, session: Session
) -> int:
    documents = sources.database[collection].with_options(RAW)
    count, query = 0, Document()
    with folder.write_documents(name, collection) as file:
        while True:
            with timeout(SECONDS):
                rows = documents.find(query, sort=[("_id", 1)], limit=READ_AT_ONCE, session=session)
                read = await rows.to_list()
            file.writelines(row.raw for row in read)
            count += len(read)
            if len(read) < READ_AT_ONCE:
                return count
            query = {"_id": {"$gt": read[-1]["_id"]}}
