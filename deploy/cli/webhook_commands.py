"""The commands `webhooks add`, `list`, `rotate`, `disable`, `enable`, `replay`, `dead` and `delete`."""

from typing import Annotated

import typer

from deploy.cli.maintenance_command import run_maintenance
from deploy.cli.options import EXIT_CODES, AsJson

webhooks = typer.Typer(help="Endpoints to which signed webhooks are sent (docs/events.md).", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id, as `webhooks list` shows it.")]
_CODES = EXIT_CODES.format("done", "there is no such endpoint, or it is refused")


@webhooks.command("add", epilog=_CODES)
def add(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send, with https.")],
    types: Annotated[
        list[str] | None, typer.Option("--type", help="A type of event, such as post.liked; may be repeated.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint, for all types of events or for some; prints the secret that signs them."""
    from deploy.cli.webhooks import run_add  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_add(settings, url, types or [], as_json=as_json))


@webhooks.command("list", epilog=_CODES)
def list_(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the endpoints: what waits, what is dead, and whether one fails or is disabled, and why."""
    from deploy.cli.webhooks import run_list  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_list(settings, as_json=as_json))


@webhooks.command(epilog=_CODES)
def rotate(context: typer.Context, endpoint: Name, *, as_json: AsJson = False) -> None:
    """Make a new secret and print it; for a day webhooks are signed by the old one too."""
    from deploy.cli.webhooks import run_rotate  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_rotate(settings, endpoint, as_json=as_json))


@webhooks.command(epilog=_CODES)
def disable(context: typer.Context, endpoint: Name, *, as_json: AsJson = False) -> None:
    """Send nothing more to an endpoint; what waits for it is dead, and can be replayed."""
    from deploy.cli.webhooks import run_disable  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_disable(settings, endpoint, as_json=as_json))


@webhooks.command(epilog=_CODES)
def enable(context: typer.Context, endpoint: Name, *, as_json: AsJson = False) -> None:
    """Send to an endpoint again, from now on; `replay` sends what is dead."""
    from deploy.cli.webhooks import run_enable  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_enable(settings, endpoint, as_json=as_json))


@webhooks.command(epilog=_CODES)
def dead(context: typer.Context, endpoint: Name, *, as_json: AsJson = False) -> None:
    """List up to a thousand events that an endpoint never took, with the last error."""
    from deploy.cli.webhooks import run_dead  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_dead(settings, endpoint, as_json=as_json))


@webhooks.command(epilog=_CODES)
def replay(context: typer.Context, endpoint: Name, *, as_json: AsJson = False) -> None:
    """Send everything dead of an endpoint again, from the first attempt on."""
    from deploy.cli.webhooks import run_replay  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_replay(settings, endpoint, as_json=as_json))


@webhooks.command(epilog=_CODES)
def delete(context: typer.Context, endpoint: Name, *, as_json: AsJson = False) -> None:
    """Delete an endpoint and everything that waits for it."""
    from deploy.cli.webhooks import run_delete  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_delete(settings, endpoint, as_json=as_json))
