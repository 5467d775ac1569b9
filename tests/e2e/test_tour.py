"""The tour of the documentation: its commands, typed as they stand, do what it says."""

import asyncio
import os
import re
import sys
from pathlib import Path

from deploy.demo.seed import DemoLogin
from tests.support.stack import ROOT, Stack

SAYS = (
    '"username":"ana"',
    '"endCursor":"',
    '"status":"AWAITING_BYTES"',
    "\n200\n",
    '"uploadImage":{"upload":{"id":"',
    '"status":"PROCESSING"},"userErrors":[]',
    '"status":"READY","hashtags":["first"],"mentions":[{"username":"ben"}]',
    '"likePost":{"post":{"likeCount":1,"viewerHasLiked":true},"userErrors":[]}',
    '"code":"NOT_ALLOWED"',
    '"kind":"COMMENTED"',
    '"connection_ack"',
    '"notificationAdded":{"seq":',
)


async def test_tour_works_as_it_is_typed(demo: DemoLogin, stack: Stack, tmp_path: Path) -> None:
    del demo  # it has to be there
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/tour.md").read_text(), re.DOTALL | re.MULTILINE)
    environment = {
        "API": f"{stack.url}/graphql",
        "PYTHON": sys.executable,
        "TMPDIR": str(tmp_path),
        "PATH": os.environ["PATH"],
    }
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", "set -e\n" + "\n".join(blocks),
        env=environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await asyncio.wait_for(shell.communicate(), 60))[0].decode()
    assert shell.returncode == 0, output
    place = 0
    for words in SAYS:
        place = output.find(words, place) + 1
        assert place, f"{words} is missing, or comes too soon, in: {output}"
