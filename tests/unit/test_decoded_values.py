"""Decoded values are kept within their bound, and never stand for other bytes than their own."""

from datasources.redis.decoded_values import ENTRY_BYTES, DecodedValues

LARGE = 1_000


class Decoder:
    """Decodes text, and counts how often."""

    def __init__(self, max_values: int) -> None:
        self.decoded: list[str] = []
        self.values = DecodedValues(self._decode, max_values * (LARGE + ENTRY_BYTES))

    def _decode(self, encoded: bytes) -> str:
        self.decoded.append(encoded.decode().strip())
        return self.decoded[-1]

    def ask(self, name: str, text: str = "") -> str:
        return self.values.decode(name, (text or name).encode().ljust(LARGE))


def test_equal_bytes_are_decoded_once_and_other_bytes_again() -> None:
    decoder = Decoder(8)
    texts = ["old", "old", "new", "new", "old"]
    assert [decoder.ask("a", text) for text in texts] == texts
    assert decoder.decoded == ["old", "new", "old"]
    assert (decoder.values.latest("a"), decoder.values.latest("b")) == ("old", None)


def test_what_is_asked_for_stays_and_the_rest_goes() -> None:
    decoder = Decoder(8)
    for number in range(40):
        decoder.ask("often")
        decoder.ask(f"once {number}")
    assert decoder.decoded.count("often") == 1
    kept = [number for number in range(40) if decoder.values.latest(f"once {number}") is not None]
    assert kept == list(range(40 - len(kept), 40))
    assert 2 <= len(kept) <= 7


def test_a_value_that_is_too_large_is_decoded_each_time() -> None:
    decoder = Decoder(1)
    assert [decoder.ask("a") for _ in range(2)] == ["a", "a"]
    assert decoder.decoded == ["a", "a"]
