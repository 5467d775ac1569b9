"""Signed addresses: S3's are held to by a real server, CloudFront's are verified with the public key."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from bson import ObjectId
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr, ValidationError

from config import Settings
from datasources.s3.keys import folder_of, media_key
from datasources.s3.signed_downloads import BadSigningKeyError, CloudFrontUrls
from datasources.s3.storage import Blobs, open_blobs
from domain.image_formats import RenditionFormat
from domain.visibility import Area

DATA = b"what only followers may see"
CDN = "https://media.example.com"
MOMENT = datetime(2026, 6, 15, 12, 0, 40, tzinfo=UTC)


@pytest.fixture(scope="module")
async def blobs(shared_settings: Settings) -> AsyncIterator[Blobs]:
    async with open_blobs(shared_settings.model_copy(update={"signed_url_ttl": 2})) as opened:
        await opened.ensure_buckets()
        yield opened


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def stored(blobs: Blobs) -> str:
    name = media_key(Area.PRIVATE, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.JPEG, 320)
    await blobs.put_media(name, DATA, "image/jpeg")
    return name


async def test_s3_accepts_a_signed_address_and_no_altered_one(
    shared_settings: Settings, web: httpx2.AsyncClient
) -> None:
    async with open_blobs(shared_settings.model_copy(update={"signed_url_ttl": 300})) as blobs:
        key, other_key = await stored(blobs), await stored(blobs)
        (url,) = await blobs.signed_urls([key])
        answer = await web.get(url)
        assert (answer.status_code, answer.content) == (200, DATA)
        altered = [
            url.partition("?")[0],
            url.replace(key, other_key),
            url.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"),
            url[:-1] + ("0" if url[-1] != "0" else "1"),
            url.replace("&X-Amz-Signature=", "&x="),
        ]
        assert {(await web.get(address)).status_code for address in altered} <= {400, 403}
        assert (await web.delete(url)).status_code == 403
        assert (await web.put(url, content=b"x")).status_code == 403


async def test_s3_refuses_a_signed_address_once_it_has_expired(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    (url,) = await blobs.signed_urls([await stored(blobs)])
    await asyncio.sleep(3.1)  # the signature's clock has whole seconds
    assert (await web.get(url)).status_code == 403


async def test_an_object_has_one_address_for_half_a_life(shared_settings: Settings) -> None:
    async with open_blobs(shared_settings.model_copy(update={"signed_url_ttl": 300})) as blobs:
        signer = blobs._media_signer  # the clock is its argument, and nobody else's
        half = [MOMENT, MOMENT + timedelta(seconds=100), MOMENT + timedelta(seconds=120)]
        urls = [(await signer.sign(["private/a"], moment))[0] for moment in half]
        assert urls[0] == urls[1] != urls[2]
        assert "X-Amz-Date=20260615T120000Z&X-Amz-Expires=300" in urls[0]


def cloudfront(secret: str) -> Settings:
    private_key = SecretStr(secret)
    return Settings(
        media_base_url=f"{CDN}/", cloudfront_key_pair_id="K2JCJMDEHXQW5F", cloudfront_private_key=private_key
    )


async def test_cloudfronts_signature_verifies_and_an_altered_address_does_not(key: rsa.RSAPrivateKey) -> None:
    (url,) = await CloudFrontUrls(cloudfront(pem(key))).sign(["private/a/0/b.jpg"], MOMENT)
    address = urlsplit(url)
    given = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert url.startswith(f"{CDN}/private/a/0/b.jpg?")
    assert given.keys() == {"Expires", "Signature", "Key-Pair-Id"}
    assert given["Key-Pair-Id"] == "K2JCJMDEHXQW5F"
    expires = int(given["Expires"])
    assert 150 <= expires - MOMENT.timestamp() <= 300
    signature = base64.b64decode(given["Signature"].translate(str.maketrans("-_~", "+=/")))

    def verify(resource: str, until: int) -> None:
        condition = {"DateLessThan": {"AWS:EpochTime": until}}
        policy = json.dumps({"Statement": [{"Resource": resource, "Condition": condition}]}, separators=(",", ":"))
        key.public_key().verify(signature, policy.encode(), PKCS1v15(), SHA1())  # noqa: S303  CloudFront's choice

    verify(url.partition("?")[0], expires)
    for resource, until in ((f"{CDN}/private/a/0/c.jpg", expires), (url.partition("?")[0], expires + 1)):
        with pytest.raises(InvalidSignature):
            verify(resource, until)


async def test_a_cdn_serves_public_files_at_plain_and_private_files_at_signed_addresses(
    shared_settings: Settings, key: rsa.RSAPrivateKey
) -> None:
    signed = cloudfront(pem(key))
    named = {name: getattr(signed, name) for name in signed.model_fields_set}
    async with open_blobs(shared_settings.model_copy(update=named)) as blobs:
        assert blobs.public_url("public/a") == f"{CDN}/public/a"
        assert (await blobs.signed_urls(["private/a"]))[0].startswith(f"{CDN}/private/a?Expires=")


async def test_a_cdn_without_a_key_serves_public_files_and_s3_private_ones(shared_settings: Settings) -> None:
    async with open_blobs(shared_settings.model_copy(update={"media_base_url": CDN})) as blobs:
        assert blobs.public_url("public/a") == f"{CDN}/public/a"
        (url,) = await blobs.signed_urls(["private/a"])
        assert url.startswith(f"{shared_settings.s3_endpoint_url}/{shared_settings.media_bucket}/private/a?X-Amz-")


async def test_the_key_may_be_in_a_file(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pem(key))
    settings = Settings(media_base_url=CDN, cloudfront_key_pair_id="K1", cloudfront_private_key_file=file)
    expected = CloudFrontUrls(settings.model_copy(update={"cloudfront_private_key": None}))
    from_text = CloudFrontUrls(cloudfront(pem(key)).model_copy(update={"cloudfront_key_pair_id": "K1"}))
    assert await expected.sign(["a"], MOMENT) == await from_text.sign(["a"], MOMENT)


@pytest.mark.parametrize("secret", ["", "not a key", pem(ec.generate_private_key(ec.SECP256R1()))])
def test_anything_but_an_rsa_key_is_refused_at_the_start(secret: str) -> None:
    with pytest.raises(BadSigningKeyError):
        CloudFrontUrls(cloudfront("x").model_copy(update={"cloudfront_private_key": SecretStr(secret)}))


@pytest.mark.parametrize(
    "half",
    [
        {"cloudfront_key_pair_id": "K1", "media_base_url": CDN},
        {"cloudfront_private_key": "pem", "media_base_url": CDN},
        {"cloudfront_key_pair_id": "K1", "cloudfront_private_key": "pem"},
    ],
)
def test_incomplete_settings_of_a_signing_key_are_refused(half: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="PHOTOGRAM_"):
        Settings(**half)  # type: ignore[arg-type]


def test_the_private_key_is_not_shown(key: rsa.RSAPrivateKey) -> None:
    assert "PRIVATE KEY" not in repr(cloudfront(pem(key)))
