"""Requests offered at once by wrk, a load generator of its own (Debian has it), each sent once."""

import asyncio
import json
import shutil
import signal
import time
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from deploy.local.ports import LOOPBACK

SCRIPT = Path(__file__).with_name("burst.lua")
OK = "OK"
POLL = 0.02  # seconds between two looks at the answers


class Sent(NamedTuple):
    """One request: whose it is, and its body."""

    token: str
    body: Mapping[str, Any]


class Answered(NamedTuple):
    """The code of its error or `OK`, and the global id of what was made, if it was asked for as `made`."""

    code: str
    made: str


class Burst(NamedTuple):
    """Answers by the place of their request, which may be missing, and the seconds until the last one."""

    answers: dict[int, Answered]
    seconds: float

    def acknowledged(self) -> list[int]:
        """The places of the requests that were done."""
        return [number for number, answer in self.answers.items() if answer.code == OK]

    def codes(self) -> Counter[str]:
        return Counter(answer.code for answer in self.answers.values())


def wrk_path() -> str:
    """Where wrk is. Ends the command with a message if it is not installed."""
    path = shutil.which("wrk")
    if path is None:
        raise typer.BadParameter("wrk is not installed: apt-get install wrk")
    return path


async def offer(port: int, requests: Sequence[Sent], connections: int, seconds: float, folder: Path) -> Burst:
    """Sends all over so many connections, each with its next as soon as it is answered; ends after `seconds`.

    Raises RuntimeError if wrk fails.
    """
    asked, answered = folder / "requests.tsv", folder / "answers.tsv"
    lines = (f"burst-{number:08}\t{each.token}\t{json.dumps(each.body)}\n" for number, each in enumerate(requests))
    asked.write_text("".join(lines))
    options = ["-t1", f"-c{min(connections, len(requests))}", f"-d{round(seconds)}s", "--timeout", "60s"]
    url = f"http://{LOOPBACK}:{port}/graphql"
    command = [wrk_path(), *options, "-s", str(SCRIPT), url, "--", str(asked), str(answered)]
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    output = asyncio.create_task(process.communicate())
    last = began
    with answered.open("w+b") as lines_so_far:
        count = 0
        while not output.done() and count < len(requests):
            await asyncio.sleep(POLL)
            if more := lines_so_far.read().count(b"\n"):
                count, last = count + more, time.perf_counter()
    if not output.done():
        process.send_signal(signal.SIGINT)  # it would go on until its time is over
    printed, _ = await output
    if process.returncode != 0:
        raise RuntimeError(printed.decode()[-1000:])
    return Burst(read_answers(answered.read_text()), last - began)


def read_answers(text: str) -> dict[int, Answered]:
    """Raises RuntimeError if one request was answered twice."""
    found: dict[int, Answered] = {}
    for line in text.splitlines():
        request_id, status, code, made = line.split("\t")
        number = int(request_id.removeprefix("burst-"))
        if number in found:
            raise RuntimeError(f"{request_id} was answered twice")
        found[number] = Answered(code if code != OK or status == "200" else f"HTTP {status}", made)
    return found
