"""Signed addresses of renditions that are not public, for S3 itself or for CloudFront where it stands before S3.

An address is good for at least half of its longest life. Time is cut into intervals of half a life, and in each an
object has one address: so clients can cache it, and nothing is signed twice.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any

from aiobotocore.credentials import AioCredentials
from botocore.auth import SIGV4_TIMESTAMP, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config import Settings

MAX_CACHED = 20_000  # addresses, of about a kilobyte each


class BadSigningKeyError(ValueError):
    """The private key of the settings is not RSA in PEM."""


class _SignedUrls:
    """What `sign` returned for keys and the latest terms."""

    def __init__(self, sign: Callable[..., str]) -> None:
        self._sign = sign
        self._terms: tuple[Any, ...] = ()
        self._signed: Callable[[str], str] = sign

    def of(self, keys: Sequence[str], *terms: Any) -> list[str]:
        """One address for each key, in their order."""
        if terms != self._terms:
            self._terms, self._signed = terms, lru_cache(MAX_CACHED)(partial(self._sign, *terms))
        return [*map(self._signed, keys)]


class CloudFrontUrls:
    """Signed URLs with a canned policy, for a distribution that trusts the key's group.

    Of RSA signatures CloudFront verifies only those over SHA-1. Nobody else chooses the signed text, which is short.
    """

    def __init__(self, settings: Settings) -> None:
        key = _private_key(settings)

        def rsa(policy: bytes) -> bytes:
            return key.sign(policy, PKCS1v15(), SHA1())  # noqa: S303  see above

        self._ttl = settings.signed_url_ttl
        self._base = settings.media_url
        self._signer = CloudFrontSigner(settings.cloudfront_key_pair_id or "", rsa)
        self._signed = _SignedUrls(self._sign)

    async def sign(self, keys: Sequence[str], now: datetime) -> list[str]:
        """One address for each key of the media bucket, in their order; nothing is sent."""
        expires = signing_interval(now, self._ttl) + timedelta(seconds=self._ttl)
        return self._signed.of(keys, expires)

    def _sign(self, expires: datetime, key: str) -> str:
        return str(self._signer.generate_presigned_url(f"{self._base}/{key}", date_less_than=expires))


class PresignedGets:
    def __init__(self, settings: Settings, credentials: AioCredentials | None) -> None:
        self._credentials = credentials
        self._region = settings.s3_region
        self._ttl = settings.signed_url_ttl
        self._base = settings.media_bucket_url
        self._signed = _SignedUrls(self._sign)

    async def sign(self, keys: Sequence[str], now: datetime) -> list[str]:
        """As `CloudFrontUrls.sign`, but a role's credentials may be renewed. Raises NoCredentialsError."""
        if self._credentials is None:
            raise NoCredentialsError
        frozen = await self._credentials.get_frozen_credentials()
        return self._signed.of(keys, signing_interval(now, self._ttl), frozen)

    def _sign(self, begins: datetime, credentials: ReadOnlyCredentials, key: str) -> str:
        request = AWSRequest(method="GET", url=f"{self._base}/{key}")
        _QueryAuthSince(credentials, "s3", self._region, self._ttl, begins).add_auth(request)
        return str(request.url)


class _QueryAuthSince(S3SigV4QueryAuth):
    """As its parent, which signs only addresses that are good from now on."""

    def __init__(
        self, credentials: ReadOnlyCredentials, service: str, region: str, expires: int, begins: datetime
    ) -> None:
        super().__init__(credentials, service, region, expires=expires)
        self._begins = begins

    def _modify_request_before_signing(self, request: AWSRequest) -> None:  # the first step after the clock is read
        request.context["timestamp"] = self._begins.strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]


Signer = CloudFrontUrls | PresignedGets


def signer_of(settings: Settings, credentials: AioCredentials | None) -> Signer:
    """CloudFront's signer if the settings have a key for it, else S3's. Raises BadSigningKeyError, OSError."""
    if settings.cloudfront_key_pair_id:
        return CloudFrontUrls(settings)
    return PresignedGets(settings, credentials)


def signing_interval(now: datetime, ttl: int) -> datetime:
    """When the present interval of half a life began, in whole seconds, as signatures have it."""
    half = ttl // 2
    return datetime.fromtimestamp(int(now.timestamp()) // half * half, UTC)


def _private_key(settings: Settings) -> RSAPrivateKey:
    secret, file = settings.cloudfront_private_key, settings.cloudfront_private_key_file
    pem = secret.get_secret_value().encode() if secret else file.read_bytes() if file else b""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise BadSigningKeyError("the private key for signed URLs is not PEM, or needs a password") from error
    if not isinstance(key, RSAPrivateKey):
        raise BadSigningKeyError("the private key for signed URLs is not RSA")
    return key
