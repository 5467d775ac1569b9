"""Tests. pytest explains failed assertions of these helpers as it does those of tests."""

import pytest

pytest.register_assert_rewrite("tests.support.auditing", "tests.faults.state_machine.stage")
