"""The commands `backup` and `restore`."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.maintenance_command import run_maintenance
from deploy.cli.options import EXIT_CODES, AsJson

backups = typer.Typer()
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the backup is.", file_okay=False)]


@backups.command(
    short_help="Copy the database and the images into a folder.",
    epilog=EXIT_CODES.format("done", "a post lacks files"),
)
def backup(context: typer.Context, folder: Folder, *, as_json: AsJson = False) -> None:
    """Copy the database, as it is at one moment, and the images that it names into a folder, beside a live system.

    Into the folder of an earlier backup it copies only the images that are not there yet, and removes what is gone. The
    earlier backup stays good until the new one is whole.
    """
    from deploy.cli.backups import run_backup  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_backup(settings, folder, as_json=as_json))


@backups.command(
    short_help="Put a backup into an empty database.", epilog=EXIT_CODES.format("done", "the database is not empty")
)
def restore(
    context: typer.Context,
    folder: Folder,
    *,
    keep_sessions: Annotated[
        bool, typer.Option("--keep-sessions", help="Keep everybody signed in: only if nothing was revoked since.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup into an empty database and its storage, and make the indexes. The images come first.

    Everybody has to sign in again, because sessions that were revoked after the backup would be good again. If it ends
    half way, it can be run again.
    """
    from deploy.cli.backups import run_restore  # noqa: PLC0415

    run_maintenance(
        context, lambda settings: run_restore(settings, folder, keep_sessions=keep_sessions, as_json=as_json)
    )
