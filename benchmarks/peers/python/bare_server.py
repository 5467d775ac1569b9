"""One module's `execute` behind a bare ASGI function: PEER=by_hand, for example."""

import os
from importlib import import_module
from typing import Any

import orjson

from deploy.cli.interpreter_memory import calm_collector

execute = import_module(f"benchmarks.peers.python.{os.environ['PEER']}").execute
calm_collector()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    answer = await execute(orjson.loads(body)["variables"])
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
