"""deploy/nginx/storage.conf before a real S3 server: what it caches, what it passes on, and the header it adds."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from bson import ObjectId

from config import Settings
from datasources.s3.keys import folder_of, media_key
from datasources.s3.storage import FOR_ONE_VIEWER, IMMUTABLE, Blobs, open_blobs
from domain.image_formats import RenditionFormat
from domain.visibility import Area
from tests.support.waiting import eventually

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
SHIPPED = Path(__file__).resolve().parents[2] / "deploy/nginx/storage.conf"
DATA = b"as good as a picture"
NOSNIFF = "nosniff"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configured(folder: Path, port: int, storage: str) -> Path:
    """Writes the shipped configuration with the ports and folder of this test, and the lines that must surround it."""
    changes = {
        "server 127.0.0.1:8333;": f"server {storage};",
        "listen 8300;": f"listen 127.0.0.1:{port};",
        "/var/cache/nginx/photogram": f"{folder}/cache",
    }
    shipped = SHIPPED.read_text()
    for text, other in changes.items():
        assert text in shipped
        shipped = shipped.replace(text, other)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    user = "user root root;" if os.geteuid() == 0 else ""  # else its workers may not enter the test's folder
    file.write_text(f"{user} daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {paths} {shipped} }}")
    return file


@pytest.fixture(scope="module")
async def blobs(shared_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Blobs]:
    """Storage, reached through nginx alone."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    file = configured(folder, port, urlsplit(shared_settings.s3_endpoint_url or "").netloc)
    assert NGINX is not None
    process = await asyncio.create_subprocess_exec(NGINX, "-e", "stderr", "-p", str(folder), "-c", str(file))
    try:
        through = {"s3_endpoint_url": f"http://127.0.0.1:{port}", "signed_url_ttl": 2}
        async with open_blobs(shared_settings.model_copy(update=through)) as opened:

            async def is_up() -> bool:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    return True
                return False

            await eventually(is_up, seconds=10)
            await opened.ensure_buckets()
            yield opened
    finally:
        process.terminate()
        await process.wait()


async def stored(blobs: Blobs, area: Area) -> str:
    key = media_key(area, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.JPEG, 320)
    await blobs.put_media(key, DATA, "image/jpeg")
    return key


async def test_a_public_image_is_cached_with_its_headers(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    key = await stored(blobs, Area.PUBLIC)
    url = blobs.public_url(key)
    assert url is not None
    first = await web.get(url)
    await blobs.delete_media([key])
    for answer in (first, await web.get(url)):  # the second is answered without storage
        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Cache-Control"] == IMMUTABLE
        assert answer.headers.get_list("X-Content-Type-Options") == [NOSNIFF]
    assert (await web.get(f"{url}?other")).status_code == 404


async def test_a_private_image_is_never_cached(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    key = await stored(blobs, Area.PRIVATE)
    (url,) = await blobs.signed_urls([key])
    answer = await web.get(url)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["Cache-Control"] == FOR_ONE_VIEWER
    assert answer.headers.get_list("X-Content-Type-Options") == [NOSNIFF]
    assert (await web.get(url.partition("?")[0])).status_code == 403
    await blobs.delete_media([key])
    (again,) = await blobs.signed_urls([key])
    assert (await web.get(again)).status_code == 404


async def test_refusals_are_not_cached_and_have_the_header(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    key = media_key(Area.PUBLIC, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.JPEG, 320)
    url = blobs.public_url(key)
    assert url is not None
    missing = await web.get(url)
    assert (missing.status_code, missing.headers["X-Content-Type-Options"]) == (404, NOSNIFF)
    await blobs.put_media(key, DATA, "image/jpeg")
    assert (await web.get(url)).status_code == 200


async def test_parameters_that_change_an_answer_do_not_change_it_for_others(
    blobs: Blobs, web: httpx2.AsyncClient
) -> None:
    url = blobs.public_url(await stored(blobs, Area.PUBLIC))
    assert url is not None
    await web.get(f"{url}?response-content-type=text/html")
    assert (await web.get(url)).headers["Content-Type"] == "image/jpeg"
