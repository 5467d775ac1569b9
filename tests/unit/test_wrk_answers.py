"""What wrk wrote down of a burst: each request answered at most once, and only a 200 is an acknowledgement."""

import pytest

from benchmarks.lib.wrk import Burst, read_answers


def test_only_an_answer_without_error_is_an_acknowledgement() -> None:
    lines = ["burst-00000000\t200\tOK\tabc", "burst-00000002\t503\tBUSY\t-", "burst-00000003\t502\tOK\t-"]
    burst = Burst(read_answers("\n".join(lines)), 1.0)
    assert burst.acknowledged() == [0]
    assert burst.codes() == {"OK": 1, "BUSY": 1, "HTTP 502": 1}
    assert burst.answers[0].made == "abc"


def test_two_answers_to_one_request_are_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="twice"):
        read_answers("burst-00000001\t200\tOK\ta\nburst-00000001\t200\tOK\ta")
