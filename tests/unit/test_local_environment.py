import os

import pytest
from pydantic import SecretStr

from config import Settings
from datasources.settings.identities import IssuerSettings
from deploy.local.environment import child_environment, environment


def test_settings_read_back_from_the_environment_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        environment="test",
        s3_endpoint_url="http://127.0.0.1:1",
        allowed_origins=("https://a.example", "https://b.example"),
        graphiql=False,
        mongo_timeout=2.5,
        media_base_url=None,
        secret_keys=(SecretStr("A" * 43 + "="), SecretStr("B" * 43 + "=")),
        identity_issuers=(IssuerSettings(issuer="https://i", jwks_url="https://i/keys", client_ids=("app",)),),
    )
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_a_missing_key_is_an_empty_variable_of_the_child() -> None:
    assert environment(Settings(s3_access_key=None))["PHOTOGRAM_S3_ACCESS_KEY"] == ""


def test_a_child_gets_no_setting_of_the_parents_that_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOGRAM_MEDIA_BASE_URL", "http://stale.example")
    monkeypatch.setenv("photogram_mongo_url", "mongodb://stale.example")
    child = child_environment(Settings(media_base_url=None, mongo_url="mongodb://127.0.0.1:1"))
    assert "PHOTOGRAM_MEDIA_BASE_URL" not in child
    assert "photogram_mongo_url" not in child
    assert child["PHOTOGRAM_MONGO_URL"] == "mongodb://127.0.0.1:1"
    assert child["PATH"] == os.environ["PATH"]
