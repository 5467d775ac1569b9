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

from deploy.cli.accounts import create_account, delete_account
from deploy.cli.failures import exit_code_of
from deploy.cli.options import DEFAULT_DATA_DIR, EXIT_CODES, AsJson, DataDir, Host, Origin, Pause, Port, Sample
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
    context.obj = Origin(config)


@app.command(short_help="Start everything on this machine; Ctrl-C stops it.")
def run(
    context: typer.Context,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    host: Host = None,
    port: Port = None,
    api_processes: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="API processes that share the port.")] = 1,
    seed: Annotated[
        bool | None,
        typer.Option(
            "--seed/--no-seed", help="Prepare the demo. Default: in the embedded database.", show_default=False
        ),
    ] = None,
    stop_with_parent: Annotated[
        bool | None,
        typer.Option(help="Stop when the starting process dies. Default: yes, unless under nohup.", show_default=False),
    ] = None,
) -> None:
    """Start everything on this machine: MongoDB, Valkey, SeaweedFS, the API, workers and a demo; Ctrl-C stops it.

    A server given by PHOTOGRAM_MONGO_URL, PHOTOGRAM_REDIS_URL or PHOTOGRAM_S3_ENDPOINT_URL is used, not started.
    """
    from datasources.telemetry.logs import configure_logging  # noqa: PLC0415
    from deploy.local import stopping  # noqa: PLC0415
    from deploy.local.supervisor import STOP_MARGIN, RunOptions, Supervisor  # noqa: PLC0415

    parent = os.getppid()
    configure_logging("console", "WARNING")  # the API and the workers have logs of their own
    if stop_with_parent or (stop_with_parent is None and not stopping.hangup_is_ignored()):
        stopping.stop_with_parent(parent)
    settings = context.obj.own_settings(host=host, port=port)
    stopping.stop_on_signals(within=settings.drain_timeout + STOP_MARGIN)
    Supervisor(settings, RunOptions(data_dir, api_processes, seed)).run()


@app.command(short_help="Run one API process.")
def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    listener: Annotated[int | None, typer.Option(hidden=True, help="An inherited listening socket.")] = None,
) -> None:
    """Run one API process. SIGTERM drains it: no new requests, those in hand finish, sockets are closed with 1012."""
    from deploy.cli.serve import serve_api  # noqa: PLC0415

    settings = context.obj.settings(host=host, port=port)
    serve_api(settings, socket.socket(fileno=listener) if listener is not None else None)


@app.command(short_help="Run workers in one process.")
def worker(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Which workers; all of them when none is named.")] = None,
) -> None:
    """Run workers in one process. SIGTERM lets them finish what they have in hand."""
    import uvloop  # noqa: PLC0415

    from deploy.cli.garbage_collector import calm_collector  # noqa: PLC0415
    from deploy.cli.privileges import refuse_root  # noqa: PLC0415
    from workers.handlers.screen_comments import UnknownScreenError  # noqa: PLC0415
    from workers.runtime.runner import NoAvifError, StuckError, UnknownWorkerError, run_workers  # noqa: PLC0415

    settings = context.obj.settings()
    refuse_root(settings)
    calm_collector()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_workers(settings, names or []))
    except (UnknownWorkerError, UnknownScreenError, NoAvifError) as error:
        raise StartError(str(error), exit_code=2) from error
    except StuckError as error:
        raise StartError(str(error)) from error


@app.command(short_help="Make the missing indexes and buckets.")
def prepare(context: typer.Context) -> None:
    """Make the indexes and buckets that are missing. Safe to repeat; production needs it before its first start."""
    from datasources.sources import prepare as prepare_sources  # noqa: PLC0415

    asyncio.run(prepare_sources(context.obj.settings()))


@app.command(short_help="Put the demo into the servers of the settings.")
def seed(context: typer.Context) -> None:
    """Put the demo's users, pictures, follows, likes and comments into the servers that the settings name.

    Safe to repeat: what is there already is left alone. The API must be able to reach the same servers.
    """
    from deploy import demo  # noqa: PLC0415

    demo.require_extra()
    from deploy.demo.seed import seed as seed_demo  # noqa: PLC0415

    login = asyncio.run(seed_demo(context.obj.settings(), print))
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
    from deploy.cli import maintenance  # noqa: PLC0415

    settings = context.obj.settings()
    work = maintenance.run_verify(settings, sample=sample, pause=pause, as_json=as_json)
    raise typer.Exit(maintenance.run(settings, work))


@app.command(
    short_help="Set right what verify finds.", epilog=EXIT_CODES.format("all is set right", "something is left")
)
def repair(
    context: typer.Context,
    sample: Sample = None,
    pause: Pause = 0,
    *,
    feeds: Annotated[
        str | None, typer.Option(metavar="all|USER_ID", help="Only make home feeds anew: everybody's, or one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pay what is owed and set right what verify finds, beside a live system.

    Safe to repeat and to stop half way. Dead letters stay dead: see `dlq redrive`.
    """
    from deploy.cli import maintenance  # noqa: PLC0415

    settings = context.obj.settings()
    if feeds is not None:
        work = maintenance.run_rebuild(settings, feeds, pause=pause, as_json=as_json)
    else:
        work = maintenance.run_repair(settings, sample=sample, pause=pause, as_json=as_json)
    raise typer.Exit(maintenance.run(settings, work))


@app.command(short_help="Clear away files and facts that nobody uses.", epilog=EXIT_CODES.format("done", "an error"))
def gc(
    context: typer.Context,
    min_age: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Leave alone what is younger.")] = 3600,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Clear away files without an upload, uploads without a use, and facts about what is gone.

    Safe to repeat, to stop half way, and beside a live system.
    """
    from deploy.cli import maintenance  # noqa: PLC0415

    settings = context.obj.settings()
    work = maintenance.run_gc(settings, min_age=min_age, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(maintenance.run(settings, work))


app.command(short_help="Make an account, of the staff too.", epilog=EXIT_CODES.format("done", "it is refused"))(
    create_account
)
app.command(
    short_help="Delete an account without its password.",
    epilog=EXIT_CODES.format("done", "there is no such account"),
)(delete_account)

dlq = typer.Typer(
    help="Dead letters: work that failed five times, with the reason, and messages that made no sense.",
    no_args_is_help=True,
)
app.add_typer(dlq, name="dlq", short_help="List dead letters, or let them be tried again.")


@dlq.command("list", epilog=EXIT_CODES.format("done", "an error"))
def dlq_list(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the dead letters, the latest first; with --json, one document a line."""
    from deploy.cli import maintenance  # noqa: PLC0415

    settings = context.obj.settings()
    raise typer.Exit(maintenance.run(settings, maintenance.run_dlq_list(settings, as_json=as_json)))


@dlq.command("redrive", epilog=EXIT_CODES.format("done", "there is no such letter"))
def dlq_redrive(
    context: typer.Context,
    work: Annotated[
        list[str] | None, typer.Argument(metavar="EFFECT FACT KEY", help="One letter, as `dlq list` names it.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let dead letters be tried again, from the first attempt on; malformed messages go back on their queues."""
    from deploy.cli import maintenance  # noqa: PLC0415

    if everything is bool(work) or len(work or "   ") != 3:
        raise StartError("say which: EFFECT FACT KEY, or --all", exit_code=2)
    chosen = None if not work else (work[0], work[1], work[2])
    settings = context.obj.settings()
    raise typer.Exit(maintenance.run(settings, maintenance.run_dlq_redrive(settings, chosen, as_json=as_json)))


@app.command(short_help="Print the API's schema (SDL).")
def schema() -> None:
    """Print the API's schema in GraphQL's own language (SDL)."""
    from resolvers.api import schema as graphql_schema  # noqa: PLC0415

    print(graphql_schema.as_str())


def main() -> None:
    """The program. Says in one line what is wrong with the settings (code 2), is not started (1) or reached (3)."""
    sys.exit(exit_code_of(app))
