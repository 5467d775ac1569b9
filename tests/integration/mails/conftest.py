"""A world that sends its mails to a server of the test's own."""

from collections.abc import AsyncIterator

import pytest

from config import Settings
from tests.support.factories import World, opened, own_database
from tests.support.mail_server import MailServer, running_mail_server


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with running_mail_server() as running:
        yield running


@pytest.fixture
async def world(shared_settings: Settings, server: MailServer) -> AsyncIterator[World]:
    """A world of the test's own. As mails are sent, addresses have to be verified."""
    with own_database(shared_settings) as settings:
        async with opened(server.settings(settings)) as world:
            yield world
