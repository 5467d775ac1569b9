"""What `/readyz` of the real API says when only MongoDB is there."""

from pathlib import Path

import httpx2

from config import Settings
from tests.support.stack import stack_on
from tests.support.waiting import eventually


async def test_without_redis_and_s3_the_api_is_degraded_and_ready(settings: Settings, tmp_path: Path) -> None:
    nowhere = {"redis_url": "redis://127.0.0.1:1/0", "s3_endpoint_url": "http://127.0.0.1:1"}
    with stack_on(settings.model_copy(update=nowhere), tmp_path) as stack:
        await stack.api()
        async with httpx2.AsyncClient(base_url=stack.url, timeout=5) as client:

            async def all_known() -> httpx2.Response | None:
                answer = await client.get("/readyz")
                return answer if all(check["ok"] is not None for check in answer.json()["checks"]) else None

            answer = await eventually(all_known)
    assert answer is not None
    assert (answer.status_code, answer.json()["ready"], answer.json()["degraded"]) == (200, True, True)
    assert [(check["name"], check["ok"]) for check in answer.json()["checks"]] == [
        ("mongodb", True),
        ("redis", False),
        ("s3", False),
    ]
