"""Hundreds of files, good, odd, damaged and hostile, each made on the spot and each with the verdict it deserves."""

from tests.corpus.bombs import bombs
from tests.corpus.case import Case
from tests.corpus.damage import damaged
from tests.corpus.gifs import gifs
from tests.corpus.heifs import heifs
from tests.corpus.jpegs import jpegs
from tests.corpus.large import large
from tests.corpus.masquerades import masquerades
from tests.corpus.pngs import pngs
from tests.corpus.webps import webps


def corpus() -> list[Case]:
    """All of it, in a fixed order, the same each time."""
    return [*jpegs(), *pngs(), *gifs(), *webps(), *heifs(), *damaged(), *masquerades(), *bombs(), *large()]
