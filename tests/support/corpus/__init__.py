"""Hundreds of files, valid, unusual, damaged and hostile, each made on the spot and each with its verdict."""

from tests.support.corpus.bombs import bombs
from tests.support.corpus.case import Case
from tests.support.corpus.damage import damaged
from tests.support.corpus.gifs import gifs
from tests.support.corpus.heifs import heifs
from tests.support.corpus.jpegs import jpegs
from tests.support.corpus.large import large
from tests.support.corpus.masquerades import masquerades
from tests.support.corpus.pngs import pngs
from tests.support.corpus.webps import webps


def corpus() -> list[Case]:
    """All files, always the same, in a fixed order."""
    return [*jpegs(), *pngs(), *gifs(), *webps(), *heifs(), *damaged(), *masquerades(), *bombs(), *large()]
