"""The commonest passwords: an exact list, kept as one sorted text (1.4 MB); binary search takes microseconds.

A Bloom filter would refuse good passwords, and an estimate takes long (zxcvbn: 0.45 s for 200 characters).
`deploy/make_common_passwords.py` makes the list.
"""

import functools
import gzip
from importlib import resources

FILE = "data/common_passwords.txt.gz"


def is_common(password: str) -> bool:
    """Whether this is one of the commonest passwords, given in lower case (`casefold`) and NFC."""
    sought, words = password.encode(errors="replace"), _words()
    low, high = 0, len(words)
    while low < high:
        start = words.rfind(b"\n", low, (low + high) // 2) + 1 or low
        end = words.index(b"\n", start)
        if (word := words[start:end]) == sought:
            return True
        low, high = (end + 1, high) if word < sought else (low, start)
    return False


@functools.cache
def _words() -> bytes:
    """The words in the order of their UTF-8, a line each. Read once, at the first registration: some 10 ms."""
    return gzip.decompress((resources.files("datasources.accounts") / FILE).read_bytes())
