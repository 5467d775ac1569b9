import re
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from deploy.cli.commands import app

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
    "schema",
    "backup",
    "restore",
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


def test_a_completion_script_can_be_printed() -> None:
    assert "_PHOTOGRAM_COMPLETE" in output_of("--show-completion", "bash")
