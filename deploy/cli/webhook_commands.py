"""The commands `webhooks add`, `list`, `rotate`, `disable`, `enable`, `replay`, `delete` and `dead`."""

from collections.abc import Callable
from typing import Annotated

import typer

from deploy.cli.maintenance_command import run_maintenance
from deploy.cli.options import EXIT_CODES, AsJson

webhooks = typer.Typer(help="Endpoints to which signed webhooks are sent (docs/events.md).", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id, as `webhooks list` shows it.")]
_CODES = EXIT_CODES.format("done", "there is no such endpoint, or it is refused")
_ACTS = {
    "rotate": "Make a new secret and print it; for a day webhooks are signed by the old one too.",
    "disable": "Send nothing more to an endpoint; what waits for it is dead, and can be replayed.",
    "enable": "Send to an endpoint again, from now on; `replay` sends what is dead.",
    "replay": "Send everything dead of an endpoint again, from the first attempt on.",
    "delete": "Delete an endpoint and everything that waits for it.",
}


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
def dead(context: typer.Context, endpoint: Name, *, as_json: AsJson = False) -> None:
    """List up to a thousand events that an endpoint never took, with the last error."""
    from deploy.cli.webhooks import run_dead  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_dead(settings, endpoint, as_json=as_json))


def _acting(act: str) -> Callable[..., None]:
    """The command that does one of `_ACTS` with an endpoint."""

    def command(context: typer.Context, endpoint: Name, *, as_json: AsJson = False) -> None:
        from deploy.cli.webhooks import run_act  # noqa: PLC0415

        run_maintenance(context, lambda settings: run_act(settings, act, endpoint, as_json=as_json))

    return command


for _name, _about in _ACTS.items():
    webhooks.command(_name, help=_about, epilog=_CODES)(_acting(_name))
