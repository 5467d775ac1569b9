"""What production turns off, asks for, and refuses."""

import os

import pytest

from config import Settings
from deploy.cli.privileges import refuse_root
from deploy.local.errors import StartError
from resolvers.api import schema
from resolvers.root_fields import MUTATIONS
from resolvers.verified_only import expect_mutations

ENVIRONMENTS = ("development", "test", "production")


def settings(environment: str, **given: object) -> Settings:
    return Settings.model_validate({"environment": environment, "s3_access_key": None, **given})


@pytest.mark.parametrize(
    ("given", "served"),
    [({}, [True, True, False]), ({"graphiql": True}, [True] * 3), ({"graphiql": False}, [False] * 3)],
)
def test_graphiql_is_off_in_production_unless_it_is_set(given: dict[str, bool], served: list[bool]) -> None:
    assert [settings(each, **given).serves_graphiql for each in ENVIRONMENTS] == served


def test_https_is_asked_for_in_production_unless_it_is_set() -> None:
    assert [settings(each).transport_security for each in ENVIRONMENTS] == ["", "", "max-age=31536000"]
    assert settings("production", hsts="").transport_security == ""
    assert settings("test", hsts="max-age=60; includeSubDomains").transport_security == "max-age=60; includeSubDomains"


def test_root_is_refused_only_in_production_and_unless_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(StartError, match="PHOTOGRAM_ALLOW_ROOT") as refused:
        refuse_root(settings("production"))
    assert refused.value.exit_code == 2
    refuse_root(settings("production", allow_root=True))
    refuse_root(settings("development"))
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    refuse_root(settings("production"))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"s3_access_key": "photogram"}, "PHOTOGRAM_S3_SECRET_KEY"),
        ({"webhook_private_addresses": True}, "PHOTOGRAM_WEBHOOK_PRIVATE_ADDRESSES"),
    ],
)
def test_what_is_good_for_one_machine_alone_is_refused_in_production(given: dict[str, object], name: str) -> None:
    settings("development", **given)
    with pytest.raises(ValueError, match=name):
        settings("production", **given)


def test_a_setting_that_names_no_mutation_is_refused() -> None:
    assert schema
    with pytest.raises(ValueError, match="createpost"):
        expect_mutations(("createpost", "addComment"), MUTATIONS)
    expect_mutations(settings("test").unverified_refused, MUTATIONS)
