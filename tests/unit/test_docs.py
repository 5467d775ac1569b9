"""The documents name files, modules and settings that exist, and their links lead somewhere."""

import re
from collections import Counter
from pathlib import Path

import pytest

from config import Settings
from deploy.cli.options import DATA_DIR_VARIABLE
from tests.support.stack import ROOT

FOLDERS = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."))
FILES = [path for path in ROOT.glob("[!.]*") if path.is_file()]
FILES += [path for folder in FOLDERS.split("|") for path in (ROOT / folder).rglob("*") if path.is_file()]
NAMES = {path.name for path in FILES}
DOCUMENTS = sorted(path.relative_to(ROOT) for path in FILES if path.suffix == ".md" and "vendor" not in path.parts)

CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|md|graphql|toml|yaml|sh|conf|lock)")
FOLDER = re.compile(rf"(?:{FOLDERS})/[\w./-]*")
MODULE = re.compile(rf"(?:{FOLDERS})(?:\.\w+)+")
SETTING = re.compile(r"PHOTOGRAM_[A-Z0-9_]*[A-Z0-9]")
SETTINGS = {f"PHOTOGRAM_{name.upper()}" for name in Settings.model_fields} | {"PHOTOGRAM_TEST_SEED", DATA_DIR_VARIABLE}
ASVS_ITEMS = 253  # of levels 1 and 2
ELSEWHERE = {"lock.py", "pymongo/lock.py"}  # PyMongo's

CURRENT = pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name != "CHANGELOG.md"], ids=str)


@CURRENT
def test_paths_and_modules_that_a_document_names_exist(document: Path) -> None:
    texts = CODE.findall((ROOT / document).read_text())
    assert [text for text in texts if _is_missing(text)] == []


@CURRENT
def test_settings_that_a_document_names_exist(document: Path) -> None:
    assert set(SETTING.findall((ROOT / document).read_text())) - SETTINGS == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_within_the_documents_lead_to_files_and_headings(document: Path) -> None:
    missing = []
    for link in LINK.findall((ROOT / document).read_text()):
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        if "://" not in link and (not target.exists() or (anchor and anchor not in _anchors(target))):
            missing.append(link)
    assert missing == []


def test_the_summary_of_asvs_counts_its_items_and_each_answer_says_why() -> None:
    text = (ROOT / "docs/asvs.md").read_text()
    rows = [
        [cell.strip() for cell in row.split("|")]
        for row in re.findall(r"^\| (\d+\.\d+\.\d+ \|.*) \|$", text, re.MULTILINE)
    ]
    summary = dict(re.findall(r"^\| ([a-z/]+) \| (\d+) \|", text, re.MULTILINE))
    assert {answer: int(count) for answer, count in summary.items()} == Counter(row[2] for row in rows)
    assert [row[0] for row in rows if row[2] in ("yes", "partly", "no", "n/a") and not row[3]] == []
    assert len({row[0] for row in rows}) == len(rows) == ASVS_ITEMS


def _is_missing(text: str) -> bool:
    """Whether it names a file, a folder or a module of ours that is not there; a bare name may be in any folder."""
    if FILE.fullmatch(text):
        return text not in NAMES | ELSEWHERE and not (ROOT / text).exists()
    if FOLDER.fullmatch(text):
        return not (ROOT / text).exists()
    if MODULE.fullmatch(text):  # its last parts may be names within the module
        parts = text.split(".")
        modules = [ROOT.joinpath(*parts[:count]).with_suffix(".py") for count in range(2, len(parts) + 1)]
        return not (ROOT.joinpath(*parts).is_dir() or any(module.is_file() for module in modules))
    return False


def _anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
