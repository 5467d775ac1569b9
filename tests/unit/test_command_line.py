import re
from importlib.metadata import version

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from deploy.cli.commands import app
from tests.support.stack import ROOT

COMMANDS = [
    "run",
    "serve",
    "worker",
    "prepare",
    "seed",
    "verify",
    "repair",
    "gc",
    "create-account",
    "delete-account",
    "reset-factors",
    "schema",
    "backup",
    "restore",
    "webhooks",
    "moderation",
    "dlq",
]


def output_of(*words: str) -> str:
    answer = CliRunner().invoke(app, words, prog_name="photogram", env={"COLUMNS": "80"})
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_the_version_is_that_of_the_package() -> None:
    assert output_of("--version") == f"photogram {version('photogram')}\n"


def test_every_command_is_listed_with_a_whole_sentence() -> None:
    lines = output_of("--help").partition("Commands:")[2].splitlines()
    listed = [line.split(maxsplit=1) for line in lines if line.strip()]
    assert [name for name, _ in listed] == COMMANDS
    assert all(text.endswith(".") and not text.endswith("..") for _, text in listed), listed


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS), ["dlq", "list"], ["dlq", "redrive"]])
def test_help_names_values_in_words_and_none_for_flags(words: list[str]) -> None:
    options = output_of(*words, "--help").partition("Options:")[2]
    assert re.search(r"<(?!=)", options) is None, options


def test_the_commands_of_compose_exist_with_their_options() -> None:
    text = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", (ROOT / "compose.yaml").read_text())
    written = re.findall(r"command: \[photogram, (.*)\]", text)
    assert len(written) == 3
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for line in written:
        with group.make_context("photogram", line.replace('"', "").split(", ")) as context:
            name, command, words = group.resolve_command(context, context._protected_args + context.args)
            assert command is not None
            command.make_context(name, words, parent=context)


def test_a_completion_script_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # the shell is named, whoever calls
    assert "_PHOTOGRAM_COMPLETE" in output_of("--show-completion", "bash")
