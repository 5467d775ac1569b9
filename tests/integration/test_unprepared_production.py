"""Starting in production on servers that were not prepared."""

import asyncio
import sys
from uuid import uuid4

import pytest

from config import Settings
from deploy.local.environment import child_environment
from tests.support.stack import ROOT

SERVE = ["serve", "--port", "0"]


@pytest.mark.parametrize("command", [SERVE, [*SERVE, "--processes", "2"], ["worker"], ["verify"], ["gc"]])
async def test_missing_indexes_give_one_line_that_names_the_command(
    shared_settings: Settings, command: list[str]
) -> None:
    unprepared = shared_settings.model_copy(
        update={"environment": "production", "allow_root": True, "mongo_database": f"test_{uuid4().hex[:12]}"}
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *["-m", "deploy.cli", *command],
        env={**child_environment(unprepared), "PHOTOGRAM_S3_SECRET_KEY": "of its own"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    assert (process.returncode, printed.count(b"\n")) == (2, 1), printed.decode()
    assert b"lacks indexes (users." in printed
    assert printed.endswith(b"run `photogram prepare` first\n")
