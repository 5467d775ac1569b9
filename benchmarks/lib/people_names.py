"""Names and handles as people have them: few common names, many rare ones, handles made of them or of other words."""

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

_FIRST = """Maria Anna John Michael David James Robert José Daniel Sofia Laura Ahmed Fatima Mohamed Ali Sara Emma Lucas
Léa Chloé Julia Martin Thomas Peter Paul Ana Luis Carlos Juan Diego Elena Irina Olga Nikita Yusuf Zeynep Mehmet Ayşe
Priya Rahul Anjali Arjun Wei Jun Min Ji-woo Minh Linh Nguyen Kofi Amara Chidi Ngozi Thabo Kwame Ingrid Lars Søren Åsa
Jürgen Katrin Zoë Björn Mateusz Agnieszka Łukasz Dušan Željko Ioana Andrei Giulia Matteo Francesca Pedro Inês João
Gabriel Rafael Camila Valentina Santiago Hiroshi Yuki Sakura Haruto Charlotte Oliver Amelia Isla Noah Grace Samuel
Abigail Benjamin Victoria Alexander Catherine Elizabeth Christopher Jonathan Stephanie Rebecca Timothy Gregory"""
_LAST = """Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson
Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker
Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter
Müller Schmidt Schneider Fischer Weber Meyer Wagner Rossi Ferrari Bianchi Silva Santos Oliveira Souza Pereira Costa
Ivanova Petrov Smirnov Yilmaz Kaya Demir Khan Ahmed Hussain Kumar Singh Sharma Patel Wang Li Zhang Liu Chen Kim Park
Choi Tanaka Suzuki Sato Okafor Mensah Diallo Jensen Hansen Andersson Johansson Kowalski Nowak Horváth Popescu"""
_WRITTEN = [
    "山田太郎",
    "佐藤花子",
    "김민수",
    "이서연",
    "王伟",
    "Иван Петров",
    "Анна Смирнова",
    "محمد علي",
    "Νίκος Παππάς",
]
_STARTS = "b br c ch d dr f fl g gr h j k kl l m n p pr r s sh st t tr v w z"
_VOWELS = "a e i o u ai ea ou"
_ENDS = "n r l s t nd rt ck man son ski ova ez ini berg field ton well"
_THINGS = "sunny lost wild blue little north salt paper night slow river stone coffee travel photo film garden"
RARE_NAMES = 40_000


class Names(NamedTuple):
    """How somebody is called."""

    handle: str
    display: str


class NameMaker:
    """Makes names in an order that the seed decides. No handle comes twice."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        rare = list(dict.fromkeys(self._rare() for _ in range(RARE_NAMES)))
        self._firsts, self._lasts = _FIRST.split() + rare[: len(rare) // 10], _LAST.split() + rare
        self._by_rank = list(itertools.accumulate(1 / rank for rank in range(1, len(self._lasts) + 1)))
        self._taken: set[str] = set()

    def make(self) -> Names:
        """The next names."""
        draw = self._random.random
        first, last = self._one_of(self._firsts), self._one_of(self._lasts)
        display = f"{first} {last}"
        if draw() < 0.15:
            display = f"{first} {self._one_of(self._firsts)} {last}"
        elif draw() < 0.15:
            display = first
        elif draw() < 0.06:
            display = self._random.choice(_WRITTEN)
        return Names(self._handle(first, last), display)

    def _one_of(self, names: Sequence[str]) -> str:
        """The name of rank n is drawn 1/n as often as the first one."""
        return self._random.choices(names, cum_weights=self._by_rank[: len(names)])[0]

    def _handle(self, first: str, last: str) -> str:
        first, last = (_plain(name) for name in (first, last))
        things = self._random.choices(_THINGS.split(), k=2)
        thing = self._random.choice(("", "_", ".")).join(things)
        kinds = (f"{first}{last}", f"{first}.{last}", f"{first}_{last}", f"{first[:1]}{last}", f"{last}.{first}", thing)
        stem = self._random.choice(kinds).strip("._")[:24]
        for number in itertools.chain(("",), iter(lambda: self._random.randrange(10_000), None)):
            handle = f"{stem}{number}"
            if len(handle) >= 3 and handle not in self._taken:
                self._taken.add(handle)
                return handle
        raise AssertionError

    def _rare(self) -> str:
        choose = self._random.choice
        syllables = "".join(
            choose(_STARTS.split()) + choose(_VOWELS.split()) for _ in range(self._random.choice((1, 1, 2)))
        )
        return (syllables + choose(_ENDS.split())).capitalize()


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())
