"""A world that sends its mails to a server of the test's own."""

import pytest

from tests.support.factories import World


@pytest.fixture
def world(mailing: World) -> World:
    """A world of the test's own, which sends its mails to `server`."""
    return mailing
