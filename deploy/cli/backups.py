"""The commands `backup` and `restore`: each returns its exit code."""

from pathlib import Path

from config import Settings
from datasources.sources import Sources, prepare
from deploy.cli.exit_codes import FAILED
from deploy.cli.maintenance_reports import run_reporting
from deploy.cli.output import FINDINGS, print_line
from deploy.local.errors import StartError
from workers.maintenance.backup.folder import BackupError, BackupFolder
from workers.maintenance.backup.make import BackedUp, back_up
from workers.maintenance.backup.put_back import Restored, put_back
from workers.maintenance.walk import Watch


async def run_backup(settings: Settings, folder: Path, *, as_json: bool = False) -> int:
    """Prints what was copied; returns 1 if storage has lost files. Raises StartError if there can be no backup."""
    done = BackedUp()

    async def work(sources: Sources, watch: Watch) -> None:
        await back_up(sources, BackupFolder(folder), watch, done)

    def print_report() -> None:
        for key in done.lacking[:FINDINGS]:
            print_line(f"storage lacks {key}")
        for key in done.only_copies[:FINDINGS]:
            print_line(f"storage lacks {key}, which the backup keeps")
        print_line(f"documents: {sum(done.collections.values())} of {len(done.collections)} collections")
        print_line(f"files: {done.objects}, copied: {done.copied}, removed: {done.removed}; {done.seconds} s")

    try:
        code = await run_reporting(settings, done, work, print_report, as_json=as_json)
    except (BackupError, OSError) as error:
        raise _stopped(error) from error
    return code or (FAILED if done.lacking or done.only_copies else 0)


async def run_restore(settings: Settings, folder: Path, *, keep_sessions: bool = False, as_json: bool = False) -> int:
    """Prints what was restored. Raises StartError for a database that is not empty, and for no or a damaged backup."""
    done = Restored()

    async def work(sources: Sources, watch: Watch) -> None:
        await put_back(sources, BackupFolder(folder), keep_sessions=keep_sessions, watch=watch, done=done)

    def print_report() -> None:
        print_line(f"documents: {sum(done.collections.values())} of {len(done.collections)} collections")
        print_line(f"files: {done.objects}; {done.seconds} s")

    try:
        BackupFolder(folder).manifest()
        await prepare(settings)
        return await run_reporting(settings, done, work, print_report, as_json=as_json)
    except BackupError as error:
        raise _stopped(error) from error


def _stopped(error: Exception) -> StartError:
    return StartError(str(error), exit_code=FAILED)
