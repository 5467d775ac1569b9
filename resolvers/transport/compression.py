"""Compresses answers over a kilobyte for clients that accept it: by zstd, Brotli or gzip, in this order.

Compressing a secret together with text that an attacker chose can reveal the secret by the answer's length (BREACH), if
the attacker can make the victim's client send many requests and sees the lengths. A foreign page cannot: there are no
cookies, and it has no token to send. Answers with tokens contain nothing of other people.
"""

from starlette.middleware import Middleware
from starlette_compress import CompressMiddleware, add_compress_type

from resolvers.transport.content_negotiation import GRAPHQL_JSON

MIN_BYTES = 1024  # a smaller answer is one packet anyway
GZIP_LEVEL = 4
BROTLI_QUALITY = 4
ZSTD_LEVEL = 3


def compression() -> Middleware:
    """ASGI middleware. It ignores answers that are small, already compressed, or of a type that does not shrink."""
    add_compress_type(GRAPHQL_JSON)
    return Middleware(
        CompressMiddleware,
        minimum_size=MIN_BYTES,
        gzip_level=GZIP_LEVEL,
        brotli_quality=BROTLI_QUALITY,
        zstd_level=ZSTD_LEVEL,
    )
