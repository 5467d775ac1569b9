"""An example of a program that reads Photogram's events (docs/events.md): it counts new likes by hour.

    python docs/examples/count_likes.py stream redis://127.0.0.1:6379/0    # from the stream of Redis
    SECRET=whsec_... python docs/examples/count_likes.py webhooks 9000      # as an endpoint of webhooks
    python docs/examples/count_likes.py show

Events may come twice. Each id is noted in the transaction that counts it, so a like counts once, also after a crash
between the two. The reader's place in the stream is noted there too. Needs `redis` and `standardwebhooks`.
"""

import argparse
import json
import os
import sqlite3
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from redis import Redis
from standardwebhooks import Webhook, WebhookVerificationError

LIKED = "photogram.post.liked.v1"
MAX_BODY = 1_000_000
TABLES = """
CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS likes (hour TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS place (stream TEXT PRIMARY KEY, entry TEXT NOT NULL, number INTEGER NOT NULL);
"""


def open_database(path: str) -> sqlite3.Connection:
    """The database of counts, with its tables."""
    database = sqlite3.connect(path, timeout=30)
    database.executescript(TABLES)
    return database


def count(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Counts an event in the caller's transaction, unless it was counted before."""
    if event["type"] != LIKED:
        return
    event_id = f"{event['source']} {event['id']}"
    if database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event_id,)).rowcount:
        added = "INSERT INTO likes VALUES (?, 1) ON CONFLICT (hour) DO UPDATE SET count = count + 1"
        database.execute(added, (event["time"][:13],))


def read_stream(database: sqlite3.Connection, url: str, stream: str, *, once: bool) -> None:
    """Reads from where it stopped; for ever, or with `once` until there is no more."""
    redis = Redis.from_url(url)
    place = database.execute("SELECT entry, number FROM place WHERE stream = ?", (stream,)).fetchone()
    entry, number = place or ("0", None)
    while True:
        answer: Any = redis.xread({stream: entry}, count=100, block=None if once else 5_000)
        rows = answer[0][1] if answer else []
        if not rows and once:
            return
        with database:
            for row, fields in rows:
                if number is not None and int(fields[b"number"]) != number + 1:
                    print(f"events are missing between number {number} and {int(fields[b'number'])}")
                entry, number = row.decode(), int(fields[b"number"])
                count(database, json.loads(fields[b"event"]))
            if rows:
                database.execute("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", (stream, entry, number))


def receive_webhooks(path: str, port: int, secret: str) -> None:
    """Takes webhooks, for ever. It answers 204 once an event is counted, and 401 to what is not signed."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            if length > MAX_BODY:
                return self._answer(413)
            try:
                event = Webhook(secret).verify(self.rfile.read(length), dict(self.headers))
            except WebhookVerificationError:
                return self._answer(401)
            database = open_database(path)
            with database:
                count(database, event)
            database.close()
            return self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.end_headers()

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def main(words: Sequence[str] | None = None) -> None:
    """Runs one of the commands above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", default="likes.db")
    commands = parser.add_subparsers(dest="command", required=True)
    stream = commands.add_parser("stream")
    stream.add_argument("url")
    stream.add_argument("--stream", default="photogram:{events}")
    stream.add_argument("--once", action="store_true")
    commands.add_parser("webhooks").add_argument("port", type=int)
    commands.add_parser("show")
    given = parser.parse_args(words)
    database = open_database(given.database)
    if given.command == "stream":
        read_stream(database, given.url, given.stream, once=given.once)
    elif given.command == "webhooks":
        receive_webhooks(given.database, given.port, os.environ["SECRET"])
    else:
        for hour, likes in database.execute("SELECT hour, count FROM likes ORDER BY hour"):
            print(f"{hour}:00Z  {likes}")


if __name__ == "__main__":
    main()
