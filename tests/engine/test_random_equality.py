"""Random schemas, data and operations: the engine answers as graphql-core does."""

import asyncio
import gc
import os
from collections.abc import Callable

import pytest

from tests.conftest import SEED
from tests.engine.random_cases.cases import KINDS_OF_ERRORS, Comparison, random_cases

RARE = {"impossible types", "arguments that do not fit"}
CASES = int(os.environ.get("PHOTOGRAM_ENGINE_CASES") or 2_000)
# `make test` has the same cases each time: where awaitables race, a rare answer may need a judgement of its own.
IS_SEARCH = "PHOTOGRAM_ENGINE_CASES" in os.environ or SEED in os.environ
USUAL_SEED = 1


# graphql-core leaves some of its own coroutines.
@pytest.mark.filterwarnings("ignore:coroutine '(Executor|default_type_resolver):RuntimeWarning")
def test_random_operations_have_equal_answers(seed: int, record_property: Callable[[str, object], None]) -> None:
    """`tests/engine/comparison.py` says what equal means, and which differences are accepted."""
    comparison = Comparison()

    async def compare_all() -> None:
        for number, case in enumerate(random_cases(seed if IS_SEARCH else USUAL_SEED, CASES)):
            if found := await comparison.compare(case):
                raise AssertionError(f"case {number}: " + "\n".join([*found, str(case)]))
            if number % 100 == 0:
                gc.collect()

    gc.disable()  # a coroutine that is freed in certain frames cannot even warn
    try:
        asyncio.run(compare_all())
    finally:
        gc.enable()
        gc.collect()  # while the warnings about graphql-core's coroutines are ignored
    covered = comparison.covered
    record_property("cases", covered["cases"])
    for kind in (
        "sync",
        "paced",
        "racing",
        "query",
        "mutation",
        "awaited",
        "with errors",
        "without errors",
        "with batch fields",
    ):
        assert covered[kind] > CASES / 10, f"{kind}: {covered}"
    for kind in ("subscription", "nulled entirely", "failed resolvers", "nulls in non-null places"):
        assert covered[kind] > CASES / 50, f"{kind}: {covered}"
    for kind in KINDS_OF_ERRORS.values():
        assert covered[kind] or (kind in RARE and CASES < 10_000), f"{kind}: {covered}"
    assert not any("fault of the compiler" in kind for kind in covered), covered
    unsupported = sum(count for kind, count in covered.items() if kind.startswith("unsupported"))
    assert unsupported <= covered["operations compiled"] / 50, covered
