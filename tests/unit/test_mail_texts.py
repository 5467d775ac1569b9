"""Every language has every text, and letters are safe to show."""

import string
from email.message import EmailMessage
from typing import Any

import pytest

from datasources.mail.letters import Letter, best_language, languages, texts_of, write
from domain.mails import MAILS, MailKind
from tests.support.mail_server import html_of, text_of

SENDER = "Photogram <no-reply@photos.example>"


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def letter(kind: MailKind, **given: Any) -> EmailMessage:
    values = {name: f"<b>{name}</b>" for name in (*MAILS[kind].values, *MAILS[kind].counted)}
    token = "a-token" if MAILS[kind].purpose else None
    fields: dict[str, Any] = {"id": "1", "to": "ana@x.example", "language": "en", "values": values, "token": token}
    made = Letter(kind=kind, **{**fields, **given})
    return write(made, sender=SENDER, app_url="https://app.example/")


@pytest.mark.parametrize("language", sorted(languages()))
def test_a_language_has_every_text_with_the_values_that_there_are(language: str) -> None:
    texts = texts_of(language)
    assert texts.keys() == {"layout", *(kind.value for kind in MailKind)}
    assert texts["layout"].keys() == texts_of("en")["layout"].keys()
    for kind in MailKind:
        own, english = texts[kind], texts_of("en")[kind]
        assert own.keys() == english.keys(), kind
        assert ("button" in own) is (MAILS[kind].purpose is not None)
        for part in ("before", "after"):
            for text in own.get(part, ()):
                assert fields(text) <= {*MAILS[kind].values, *MAILS[kind].counted, "username"}, text


@pytest.mark.parametrize("kind", MailKind)
@pytest.mark.parametrize("language", sorted(languages()))
def test_a_letter_says_the_same_as_text_and_as_html(kind: MailKind, language: str) -> None:
    mail = letter(kind, language=language, username="ana")
    text, html = text_of(mail), html_of(mail)
    assert "@ana" in text
    assert "@ana" in html
    assert f'lang="{language}"' in html
    assert "{" not in text.replace(html, "")
    for name in (*MAILS[kind].values, *MAILS[kind].counted):
        assert f"<b>{name}</b>" in text
        assert f"&lt;b&gt;{name}&lt;/b&gt;" in html
        assert "<b>" not in html
    if MAILS[kind].purpose:
        url = f"https://app.example/{MAILS[kind].page}#token=a-token"
        assert url in text
        assert f'href="{url}"' in html
    assert "src=" not in html
    assert "url(" not in html


def test_a_letter_without_an_app_has_a_code_and_no_link() -> None:
    made = Letter(id="1", kind=MailKind.PASSWORD_RESET, to="ana@x.example", language="en", token="a-token")
    mail = write(made, sender=SENDER, app_url=None)
    assert "a-token" in text_of(mail)
    assert "http" not in text_of(mail) + html_of(mail)


def test_a_paragraph_without_words_is_left_out() -> None:
    mail = letter(MailKind.APPEAL_ACCEPTED, values={"statement": " "})
    assert "\n\n\n" not in text_of(mail)
    assert "<p> </p>" not in html_of(mail)


def test_headers_say_who_sends_and_that_no_one_answers() -> None:
    mail = letter(MailKind.PASSWORD_CHANGED)
    assert mail["From"] == SENDER
    assert mail["Message-ID"] == "<1@photos.example>"
    assert mail["Auto-Submitted"] == "auto-generated"


def test_no_address_gets_a_header_of_its_own() -> None:
    with pytest.raises(ValueError):
        letter(MailKind.PASSWORD_CHANGED, to="ana@x.example\r\nBcc: all@x.example")


@pytest.mark.parametrize(
    ("wanted", "language"),
    [(("de-AT", "en"), "de"), (("xx", "DE"), "de"), ((None, None), "en"), (("", "../de"), "en")],
)
def test_the_language_is_the_first_that_has_texts(wanted: tuple[str | None, ...], language: str) -> None:
    assert best_language(*wanted) == language
