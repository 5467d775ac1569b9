"""The options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DATA_DIR, DATA_DIR_VARIABLE = Path(".photogram"), "PHOTOGRAM_DATA_DIR"

Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; default PHOTOGRAM_HOST or 127.0.0.1.")
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, metavar="NUMBER", help="Port; default PHOTOGRAM_PORT or 8000; 0: any free one."),
]
Processes = Annotated[int, typer.Option(min=1, metavar="NUMBER", help="API processes that share the port.")]
ApiProcesses = Annotated[
    int | None, typer.Option(min=1, metavar="NUMBER", help="API processes; default 1, or 2 with --cluster.")
]
Cluster = Annotated[
    bool, typer.Option("--cluster", help="Three MongoDB servers, six of Valkey, HAProxy, nginx: any may be lost.")
]
Seed = Annotated[
    bool | None,
    typer.Option("--seed/--no-seed", help="Prepare the demo. Default: in the embedded database.", show_default=False),
]
StopWithParent = Annotated[
    bool | None,
    typer.Option(help="Stop when the starting process dies. Default: yes, unless under nohup.", show_default=False),
]
DataDir = Annotated[
    Path,
    typer.Option(envvar=DATA_DIR_VARIABLE, metavar="FOLDER", help="Folder of the embedded servers' data and all logs."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
Sample = Annotated[
    int | None, typer.Option(min=1, metavar="NUMBER", help="Look only at this many random things of each kind.")
]
Pause = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="Rest so many seconds after each 200 things looked at.")
]
EXIT_CODES = "Exit codes: 0 {0}, 1 {1}, 2 wrong usage or settings, 3 a server cannot be reached, 130 stopped by Ctrl-C."
