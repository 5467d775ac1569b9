"""Which media type an Accept header asks for."""

import pytest

from resolvers.transport.content_negotiation import answer_type, prefers_page
from resolvers.transport.http import bearer_token

GRAPHQL, JSON = "application/graphql-response+json", "application/json"
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (CHROME, JSON),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{JSON}, {GRAPHQL}", GRAPHQL),
        (f"{GRAPHQL};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL};charset=utf-8, {JSON};q=0.9", GRAPHQL),
        (f"{GRAPHQL}, */*;q=0.1", GRAPHQL),
        (f"{JSON};q=0, */*", GRAPHQL),
        ("application/graphql-response+json, application/json, multipart/mixed, text/event-stream", GRAPHQL),
        (f"{JSON};q=nonsense", None),
        ("text/event-stream", None),
        ("image/png, text/html", None),
        ("*/*;q=0", None),
        (",;,;q=1", JSON),
    ],
)
def test_the_accept_header_chooses_the_media_type(accept: str | None, chosen: str | None) -> None:
    assert answer_type(accept) == chosen


@pytest.mark.parametrize(
    ("accept", "page"),
    [(CHROME, True), ("text/html", True), (None, False), ("*/*", False), (f"{JSON}, text/html;q=0.5", False)],
)
def test_only_a_browser_prefers_the_page(accept: str | None, page: bool) -> None:
    assert prefers_page(accept) is page


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        (None, None),
        (7, None),
    ],
)
def test_a_bearer_token_is_read_from_its_header(header: object, token: str | None) -> None:
    assert bearer_token(header) == token
