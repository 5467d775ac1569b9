"""The command line: one program for every process of Photogram, with the same settings for all of them.

Commands import what they run only when they run: `--help` and one-line complaints come at once.
"""

import asyncio
import os
import socket
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import options
from deploy.cli.backup_commands import backups
from deploy.cli.dead_letter_commands import dlq
from deploy.cli.exit_codes import WRONG_USAGE, exit_code_of
from deploy.cli.maintenance_command import run_maintenance
from deploy.cli.moderation_commands import moderation
from deploy.cli.options import DEFAULT_DATA_DIR, EXIT_CODES, AsJson, DataDir, Host, Pause, Port, Processes, Sample
from deploy.cli.settings_source import SettingsSource
from deploy.cli.webhook_commands import webhooks
from deploy.local.errors import StartError

app = typer.Typer(
    name="photogram",
    help="The backend of a photo-sharing app. Settings come from PHOTOGRAM_... variables or from --config FILE.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"photogram {version('photogram')}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file of settings (NAME=value lines); variables win over it.")
    ] = None,
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = SettingsSource(config)


@app.command(short_help="Start everything on this machine; Ctrl-C stops it.")
def run(
    context: typer.Context,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    host: Host = None,
    port: Port = None,
    api_processes: options.ApiProcesses = None,
    seed: options.Seed = None,
    cluster: options.Cluster = False,
    stop_with_parent: options.StopWithParent = None,
) -> None:
    """Start everything on this machine: MongoDB, Valkey, SeaweedFS, the API, workers and a demo; Ctrl-C stops it.

    A server given by PHOTOGRAM_MONGO_URL, PHOTOGRAM_REDIS_URL or PHOTOGRAM_S3_ENDPOINT_URL is used, not started. With
    --cluster any one process may be lost; HAProxy and nginx are part of it where they are installed.
    """
    from datasources.telemetry.logs import configure_logging  # noqa: PLC0415
    from deploy.local import stop_signals  # noqa: PLC0415
    from deploy.local.supervisor import STOP_MARGIN, Supervisor  # noqa: PLC0415

    parent = os.getppid()
    configure_logging("console", "WARNING")  # the API and the workers have logs of their own
    if stop_with_parent or (stop_with_parent is None and not stop_signals.hangup_is_ignored()):
        stop_signals.stop_with_parent(parent)
    settings = context.obj.own_settings(host=host, port=port)
    stop_signals.stop_on_signals(within=settings.drain_timeout + STOP_MARGIN)
    processes = api_processes or (2 if cluster else 1)
    Supervisor(settings, data_dir, processes, seed, cluster).run()


@app.command(short_help="Run the API.")
def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    processes: Processes = 1,
    listener: Annotated[int | None, typer.Option(hidden=True, help="An inherited listening socket.")] = None,
    share: Annotated[int | None, typer.Option(hidden=True, help="Inherited memory of those that share it.")] = None,
    number: Annotated[int, typer.Option(hidden=True, help="Which of them this is.")] = 0,
) -> None:
    """Run the API, in one process or several. SIGTERM drains it: open requests finish, sockets close with 1012."""
    from deploy.cli.serve import serve_api  # noqa: PLC0415
    from deploy.cli.serve_processes import serve_processes  # noqa: PLC0415
    from resolvers.transport.shared_listener import ConnectionCounts, Share  # noqa: PLC0415

    settings = context.obj.settings(host=host, port=port)
    if processes > 1:
        serve_processes(settings, processes)
        return
    place = None if share is None else Share(ConnectionCounts(share), number)
    serve_api(settings, socket.socket(fileno=listener) if listener is not None else None, place)


@app.command(short_help="Run workers in one process.")
def worker(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Which workers; all of them when none is named.")] = None,
) -> None:
    """Run workers in one process. SIGTERM lets them finish what they have begun."""
    import uvloop  # noqa: PLC0415

    from deploy.cli.interpreter_memory import calm_collector  # noqa: PLC0415
    from deploy.cli.privileges import refuse_root  # noqa: PLC0415
    from deploy.cli.tracing_packages import expect_tracing_packages  # noqa: PLC0415
    from workers.handlers.known_images import UnknownMatchingError  # noqa: PLC0415
    from workers.handlers.screen_comments import UnknownScreenError  # noqa: PLC0415
    from workers.runtime.runner import NoAvifError, StuckError, UnknownWorkerError, run_workers  # noqa: PLC0415

    settings = context.obj.settings()
    refuse_root(settings)
    expect_tracing_packages(settings)
    calm_collector()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_workers(settings, names or []))
    except (UnknownWorkerError, UnknownScreenError, UnknownMatchingError, NoAvifError) as error:
        raise StartError(str(error), exit_code=WRONG_USAGE) from error
    except StuckError as error:
        raise StartError(str(error)) from error


@app.command(short_help="Make the missing collections, indexes, buckets and queues.")
def prepare(
    context: typer.Context,
    *,
    sharded: Annotated[
        bool, typer.Option("--sharded", help="Print the commands for mongosh that shard the collections, too.")
    ] = False,
) -> None:
    """Make the collections, indexes, buckets and queues that are missing.

    Safe to repeat; production needs it before it starts.
    """
    from datasources.mongo.sharding import sharding_commands  # noqa: PLC0415
    from datasources.sources import prepare as prepare_sources  # noqa: PLC0415

    settings = context.obj.settings()
    asyncio.run(prepare_sources(settings))
    if sharded:
        print(*sharding_commands(settings.mongo_database), sep="\n")


@app.command(short_help="Put the demo into the servers of the settings.")
def seed(context: typer.Context) -> None:
    """Put the demo's users, pictures, follows, likes and comments into the servers that the settings name.

    Safe to repeat: what is there already is left alone. The API must be able to reach the same servers.
    """
    from deploy.demo import prepare_demo  # noqa: PLC0415

    login = prepare_demo(context.obj.settings(), print)
    print(f"Demo login: {login.username} / {login.password}\nAccess token: {login.access_token}")


@app.command(
    short_help="List what is wrong or stuck; changes nothing.",
    epilog=EXIT_CODES.format("nothing is wrong", "something is"),
)
def verify(context: typer.Context, sample: Sample = None, pause: Pause = 0, *, as_json: AsJson = False) -> None:
    """Count everything again, beside a live system and changing nothing, and list what is wrong or stuck.

    It reads one small batch after the other: at most one core here and one at MongoDB, and the memory of one batch and
    10,000 findings, however much there is. With --sample 1000 it takes seconds. docs/operations.md tells the rest.
    """
    from deploy.cli.maintenance_reports import run_verify  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_verify(settings, sample=sample, pause=pause, as_json=as_json))


@app.command(
    short_help="Repair what verify finds.", epilog=EXIT_CODES.format("everything is repaired", "something is left")
)
def repair(
    context: typer.Context,
    sample: Sample = None,
    pause: Pause = 0,
    *,
    feeds: Annotated[
        str | None, typer.Option(metavar="all|USER_ID", help="Only rebuild home feeds: everybody's, or one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Finish what is pending and repair what verify finds, beside a live system.

    Safe to repeat and to stop half way. Dead letters stay dead: see `dlq redrive`.
    """
    from deploy.cli.maintenance_reports import run_rebuild, run_repair  # noqa: PLC0415

    if feeds is None:
        run_maintenance(context, lambda settings: run_repair(settings, sample=sample, pause=pause, as_json=as_json))
    run_maintenance(context, lambda settings: run_rebuild(settings, feeds, pause=pause, as_json=as_json))


@app.command(short_help="Remove files and facts that nobody uses.", epilog=EXIT_CODES.format("done", "an error"))
def gc(
    context: typer.Context,
    min_age: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Leave alone what is younger.")] = 3600,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove files without an upload, uploads without a use, facts about what is gone, and old events in Redis.

    Safe to repeat, to stop half way, and beside a live system. Only the last needs Redis, and comes last.
    """
    from deploy.cli.maintenance_reports import run_gc  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_gc(settings, min_age=min_age, dry_run=dry_run, as_json=as_json))


@app.command(short_help="Make an account, of the staff too.", epilog=EXIT_CODES.format("done", "it is refused"))
def create_account(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="The handle; one that is reserved too.")],
    email: Annotated[str, typer.Argument(help="The address.")],
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="The name to show; default the handle.")] = None,
) -> None:
    """Make an account, also with a handle that nobody can register, such as `support`.

    It asks for the password; without a terminal, the password is the first line of standard input.
    """
    from deploy.cli import accounts  # noqa: PLC0415

    run_maintenance(
        context, lambda settings: accounts.run_create(settings, username, email, accounts.read_password(), name)
    )


@app.command(
    short_help="Delete an account without its password.",
    epilog=EXIT_CODES.format("done", "there is no such account"),
)
def delete_account(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="The handle, without the @, in any case.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say whose account it is.")] = False,
) -> None:
    """Delete an account without its password, at once and for good, as `deleteAccount` does for its owner.

    Nobody sees it from then on. Workers remove what it left; `verify` says whether they have.
    """
    from deploy.cli.accounts import run_delete  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_delete(settings, username, is_sure=yes))


@app.command(
    short_help="Let somebody in again who has lost all second factors.",
    epilog=EXIT_CODES.format("done", "there is no such account"),
)
def reset_factors(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="The handle, without the @, in any case.")],
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="For the log: who was asked what.")] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what there is.")] = False,
) -> None:
    """Turn off the one-time codes of an account, and remove its recovery codes, passkeys and linked identities.

    At once. Its sessions and access tokens end, and its owner gets a mail. The password alone logs in from then on. Ask
    first as docs/operations.md says: whoever gets this done needs only the password.
    """
    from deploy.cli.accounts import run_reset  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_reset(settings, username, reason=reason, is_sure=yes))


app.add_typer(backups)
app.add_typer(webhooks, name="webhooks", short_help="Manage where signed webhooks are sent.")
app.add_typer(moderation, name="moderation", short_help="Give roles, look at reports, decide.")
app.add_typer(dlq, name="dlq", short_help="List dead letters, or have them tried again.")


@app.command(short_help="Print the API's schema (SDL).")
def schema() -> None:
    """Print the API's schema in GraphQL's own language (SDL)."""
    from resolvers.api import schema as graphql_schema  # noqa: PLC0415

    print(graphql_schema.as_str())


def main() -> None:
    """The program: its exit codes are in `deploy.cli.exit_codes`."""
    sys.exit(exit_code_of(app))
