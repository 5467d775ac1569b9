"""Commands for several keys, which may be on several servers."""

import asyncio
from collections.abc import Iterable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from datasources.redis.servers import RedisServers


class Pipelines:
    """Commands of one key each, in one pipeline for each server, which are sent side by side."""

    def __init__(self, servers: RedisServers) -> None:
        self._servers = servers
        self._pipelines: dict[Redis, Any] = {}
        self._places: list[tuple[Redis, int]] = []  # of each command: its server, and its place in the pipeline

    def at(self, key: str) -> Any:
        """The pipeline for the next command, whose key this is. Raises ConnectionError if its server is not known."""
        redis = self._servers.of(key)
        pipeline = self._pipelines.get(redis)
        if pipeline is None:
            pipeline = self._pipelines[redis] = redis.pipeline(transaction=False)
        self._places.append((redis, len(pipeline)))
        return pipeline

    async def execute(self, seconds: float) -> list[Any]:
        """The answers in the commands' order. In place of an answer there may be the error of its command or server.

        Takes at most `seconds`.
        """
        if len(self._pipelines) == 1:
            (pipeline,) = self._pipelines.values()
            return await _execute(pipeline, seconds)
        answers = await asyncio.gather(*(_execute(pipeline, seconds) for pipeline in self._pipelines.values()))
        by_server = dict(zip(self._pipelines, answers, strict=True))
        return [by_server[redis][place] for redis, place in self._places]


async def _execute(pipeline: Any, seconds: float) -> list[Any]:
    number = len(pipeline)
    try:
        async with asyncio.timeout(seconds):
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
    except (RedisError, OSError, TimeoutError) as error:
        return [error] * number
    return answers


def errors_of(answers: Iterable[Any]) -> list[Exception]:
    """The errors among the answers of `Pipelines`."""
    return [answer for answer in answers if isinstance(answer, Exception)]
