"""`python -m deploy.cli` is `photogram`."""

from deploy.cli.commands import main

main()
