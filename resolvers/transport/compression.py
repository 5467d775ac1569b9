"""Answers over a kilobyte are compressed for clients that take it: zstd, Brotli or gzip, in this order.

Compressing what is secret beside what an attacker chose gives the secret away by the length of the answer (BREACH), if
the attacker can have the victim's client ask again and again and sees the lengths. A foreign page cannot: there are no
cookies, and it has no token to send. Tokens themselves are in answers with nothing of anybody else's.
"""

from starlette.middleware import Middleware
from starlette_compress import CompressMiddleware, add_compress_type

from resolvers.transport.content_negotiation import GRAPHQL_JSON

WORTH_IT = 1024  # bytes; a smaller answer is one packet anyway
GZIP_LEVEL = 4
BROTLI_QUALITY = 4
ZSTD_LEVEL = 3


def compression() -> Middleware:
    """ASGI middleware; it leaves alone what is small, compressed already, or of a type that does not shrink."""
    add_compress_type(GRAPHQL_JSON)
    return Middleware(
        CompressMiddleware,
        minimum_size=WORTH_IT,
        gzip_level=GZIP_LEVEL,
        brotli_quality=BROTLI_QUALITY,
        zstd_level=ZSTD_LEVEL,
    )
