"""Tests; what their helpers assert is explained as what the tests themselves assert."""

import pytest

pytest.register_assert_rewrite("tests.support.auditing", "tests.faults.state_machine.stage")
