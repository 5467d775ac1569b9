"""Whether OpenTelemetry is installed, which is an extra."""

from importlib.util import find_spec

from config import Settings
from deploy.cli.exit_codes import WRONG_USAGE
from deploy.local.errors import StartError


def expect_tracing_packages(settings: Settings) -> None:
    """Raises StartError if traces are asked for and OpenTelemetry is not installed."""
    if settings.trace_endpoint is None or (find_spec("opentelemetry") and find_spec("opentelemetry.exporter")):
        return
    message = "PHOTOGRAM_TRACE_ENDPOINT is set, and OpenTelemetry is not installed: install the extra `tracing`"
    raise StartError(message, exit_code=WRONG_USAGE)
