"""The score of spam: what people do has none, and every signal of a spammer has one."""

import pytest

from domain.spam import WEIGHT_MAX, Signals, fingerprint, score, weight
from domain.text import links

PEOPLE = {
    "a first comment": Signals(same_text=1, same_text_by_all=1),
    "the same words to two friends": Signals(same_text=2, same_text_by_all=2),
    "a heart under ten pictures": Signals(same_text=10, is_short=True),
    "a phrase that is in fashion": Signals(same_text=1, same_text_by_all=20),
    "a link, shown twice": Signals(same_text=1, same_link=2, links=1),
    "a family of five": Signals(same_text=1, mentions=5, tagged=6),
    "a caption with ten hashtags": Signals(same_text=1, hashtags=10),
    "tidying whom one follows": Signals(unfollows=20),
}
SPAMMERS = {
    "the same words many times": Signals(same_text=3),
    "one emoji everywhere": Signals(same_text=11, is_short=True),
    "many accounts with the same words": Signals(same_text=1, same_text_by_all=21),
    "one link many times": Signals(same_link=3, links=1),
    "many links": Signals(links=3),
    "many mentions": Signals(mentions=6),
    "many hashtags": Signals(hashtags=14),
    "many tagged people": Signals(tagged=12),
    "follow churn": Signals(unfollows=30),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_what_people_do_counts_once(name: str) -> None:
    assert weight(score(PEOPLE[name])) == 1


@pytest.mark.parametrize("name", SPAMMERS)
def test_what_spammers_do_counts_more(name: str) -> None:
    assert weight(score(SPAMMERS[name])) > 1


def test_signals_add_up_to_a_bound() -> None:
    both = Signals(same_text=5, links=4)
    assert score(both) == score(Signals(same_text=5)) + score(Signals(links=4)) == 7
    assert weight(score(Signals(same_text=90, same_link=90))) == WEIGHT_MAX
    assert weight(-3) == 1


@pytest.mark.parametrize(
    "text", ["Buy now!", "BUY  NOW", "b.u.y n-o-w ✨", "\uff42\uff55\uff59\u3000\uff4e\uff4f\uff57", "_buy_ *now*"]
)
def test_a_text_is_known_however_it_is_dressed_up(text: str) -> None:
    assert fingerprint(text) == "buynow"


def test_a_text_of_signs_is_known_too() -> None:
    assert fingerprint("🔥🔥") == "🔥🔥"
    assert fingerprint("") == ""


def test_a_link_is_known_however_it_is_written() -> None:
    assert links("see https://www.Shop.example/sale?ref=1#top, shop.example/sale, HTTP://shop.example/sale/") == [
        "shop.example/sale"
    ]
    assert links("ana@shop.example or e.g. this") == []
