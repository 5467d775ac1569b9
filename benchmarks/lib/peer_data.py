"""The users and posts of the peers' store: the same in every run."""

import json
from pathlib import Path
from random import Random
from typing import Any

POSTS = 400
USERS = 400
COMMENTS_EACH = 3
MEDIA_WIDTHS = (1080, 640, 320)
WORDS = """golden hour at the pier with coffee and friends sunset mood weekend trip city lights street food morning run
vintage film ocean breeze mountain trail studio session""".split()  # noqa: SIM905  words, as they are written
BEYOND_ASCII = " \N{SUNRISE} #\N{LATIN SMALL LETTER E WITH ACUTE}t"


def write_peer_data(path: Path) -> None:
    """Writes the store as JSON: twenty posts of it are 705 fields and some 17 kB of answer."""
    random = Random(7)
    users = [
        {
            "id": f"u{number}",
            "username": f"{random.choice(WORDS)}_{number}",
            "avatarUrl": f"https://cdn.example.test/a/{number:06d}/150.jpg",
        }
        for number in range(USERS)
    ]
    path.write_text(json.dumps({"users": users, "posts": [_post(random, number) for number in range(POSTS)]}))


def _post(random: Random, number: int) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "caption": _words(random, 12)
        + (" \N{SUNRISE} #\N{LATIN SMALL LETTER E WITH ACUTE}t" if number % 3 == 0 else ""),
        "createdAt": f"2026-03-{1 + number % 28:02d}T12:{number % 60:02d}:00.000Z",
        "likeCount": random.randrange(100_000),
        "commentCount": random.randrange(COMMENTS_EACH, 900),
        "viewerHasLiked": random.random() < 0.4,
        "authorId": _user_id(random),
        "previewComments": [
            {"id": f"c{number}_{index}", "text": _words(random, 6), "authorId": _user_id(random)}
            for index in range(COMMENTS_EACH)
        ],
        "media": [
            {"url": f"https://cdn.example.test/m/{number:06d}/{width}.jpg", "width": width, "height": width * 5 // 4}
            for width in MEDIA_WIDTHS
        ],
    }


def _words(random: Random, count: int) -> str:
    return " ".join(random.choice(WORDS) for _ in range(count))


def _user_id(random: Random) -> str:
    return f"u{random.randrange(USERS)}"
