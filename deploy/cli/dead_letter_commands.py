"""The commands `dlq list` and `dlq redrive`."""

from typing import Annotated

import typer

from deploy.cli.exit_codes import WRONG_USAGE
from deploy.cli.maintenance_command import run_maintenance
from deploy.cli.options import EXIT_CODES, AsJson
from deploy.local.errors import StartError

dlq = typer.Typer(
    help="Dead letters: jobs that failed five times, with the reason, and messages that made no sense.",
    no_args_is_help=True,
)


@dlq.command("list", epilog=EXIT_CODES.format("done", "an error"))
def dlq_list(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the dead letters, the latest first; with --json, one document a line."""
    from deploy.cli.dead_letters import run_list  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_list(settings, as_json=as_json))


@dlq.command("redrive", epilog=EXIT_CODES.format("done", "there is no such letter"))
def dlq_redrive(
    context: typer.Context,
    letter: Annotated[
        list[str] | None, typer.Argument(metavar="TASK FACT KEY", help="One letter, as `dlq list` names it.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have dead letters tried again, from the first attempt on; malformed messages go back to their queues."""
    from deploy.cli.dead_letters import run_redrive  # noqa: PLC0415

    if everything is bool(letter) or len(letter or "   ") != 3:
        raise StartError("say which: TASK FACT KEY, or --all", exit_code=WRONG_USAGE)
    name = (letter[0], letter[1], letter[2]) if letter else None
    run_maintenance(context, lambda settings: run_redrive(settings, name, as_json=as_json))
