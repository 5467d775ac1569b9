"""The page of a development server that shows its mails."""

from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette

from config import Settings
from datasources.mail.letters import Letter, write
from datasources.mail.transport import open_transport
from domain.mails import MailKind
from resolvers.transport.local_mails import POLICY, mail_routes


async def test_the_page_shows_the_latest_mail_first_and_runs_nothing_of_it(tmp_path: Path) -> None:
    settings = Settings(environment="development", mail="folder", mail_folder=tmp_path / "mails")
    assert settings.shown_mails is not None
    transport = httpx2.ASGITransport(app=Starlette(routes=mail_routes(settings.shown_mails)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        assert "No mails yet" in (await client.get("/mails")).text
        async with open_transport(settings) as send:
            for number, client_name in enumerate(("first", "<script>alert(1)</script>")):
                values = {"client": client_name, "time": "now"}
                letter = Letter(
                    id=str(number), kind=MailKind.NEW_LOGIN, to="ana@x.example", language="en", values=values
                )
                await send(write(letter, sender=settings.mail_from, app_url=None))
        page = await client.get("/mails")
    assert page.headers["content-security-policy"] == POLICY
    assert page.text.index("&lt;script&gt;") < page.text.index("first")
    assert "<script" not in page.text
    assert "\r" not in page.text  # so that lines can be copied


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("192.168.1.7", {}, 404),
        ("fe80::1%eth0", {}, 404),
        ("::ffff:192.168.1.7", {}, 404),
        ("", {}, 404),
        ("127.0.0.1", {"x-forwarded-for": "192.168.1.7"}, 404),  # by a proxy that nobody has told of
        ("127.0.0.1", {"forwarded": "for=192.168.1.7"}, 404),
        ("::1", {"host": "[::1]:8000"}, 200),
        ("127.0.0.1", {"host": "elsewhere.example:8000"}, 404),  # a name that a foreign page had lead here
        ("127.0.0.1", {"host": "[::1"}, 404),
    ],
)
async def test_only_this_machine_sees_the_mails(
    tmp_path: Path, peer: str, headers: dict[str, str], status: int
) -> None:
    transport = httpx2.ASGITransport(app=Starlette(routes=mail_routes(tmp_path)), client=(peer, 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        assert (await client.get("/mails", headers=headers)).status_code == status


@pytest.mark.parametrize("environment", ["production", "test"])
def test_mails_are_shown_in_development_only(tmp_path: Path, environment: str) -> None:
    given = {"environment": environment, "mail": "folder", "mail_folder": tmp_path, "s3_access_key": None}
    if environment == "production":
        with pytest.raises(ValueError, match="PHOTOGRAM_MAIL=folder is for development"):
            Settings.model_validate(given)
    else:
        assert Settings.model_validate(given).shown_mails is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"mail": "smtp"}, "PHOTOGRAM_SMTP_HOST"),
        ({"mail": "folder"}, "PHOTOGRAM_MAIL_FOLDER"),
        ({"mail_from": "Photogram"}, "PHOTOGRAM_MAIL_FROM"),
        ({"environment": "production", "s3_access_key": "", "mail": "smtp", "smtp_host": "x"}, "PHOTOGRAM_MAIL_FROM"),
        ({"email_verification": "required"}, "PHOTOGRAM_MAIL"),
        ({"mail": "smtp", "smtp_host": "x", "smtp_user": "u", "smtp_security": "none"}, "in the clear"),
    ],
)
def test_settings_of_mails_that_cannot_work_are_refused(given: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Settings.model_validate({"environment": "test", **given})
