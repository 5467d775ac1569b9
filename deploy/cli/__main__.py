"""`python -m deploy.cli` is `photogram`."""

from deploy.cli.main import main

main()
