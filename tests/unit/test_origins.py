import pytest

from config import Settings
from resolvers.transport.origins import origin_pattern


@pytest.mark.parametrize(
    ("allowed", "origin", "passes"),
    [
        ("https://app.example", "https://app.example", True),
        ("https://app.example/", "https://app.example", True),
        ("https://app.example", "https://App.Example", True),
        ("https://app.example", "http://app.example", False),
        ("https://app.example", "https://app.example.evil.example", False),
        ("https://app.example", "https://app.example:8443", False),
        ("https://app.example", "https://appxexample", False),
        ("https://*.app.example", "https://a.b.app.example", True),
        ("https://*.app.example", "https://app.example", False),
        ("https://*.app.example", "https://evil.example:1.app.example", False),
        ("http://localhost:*", "http://localhost:5173", True),
        ("http://localhost:*", "http://localhost:80.evil.example", False),
        ("*", "https://anybody.example", True),
        ("", "", False),
    ],
)
def test_origin_matches_as_a_whole(allowed: str, origin: str, *, passes: bool) -> None:
    pattern = origin_pattern([allowed] if allowed else [])
    assert (pattern.fullmatch(origin) is not None) is passes


def test_localhost_is_an_allowed_origin_in_development_only() -> None:
    for origin in ("http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:8080", "http://localhost"):
        assert origin_pattern(Settings(environment="development").origins).fullmatch(origin)
        assert not origin_pattern(Settings(environment="production", s3_access_key=None).origins).fullmatch(origin)
