"""A network in which the author of rank n has 1/n as many followers as the first one."""

from math import log

EULER = 0.5772


class ZipfNetwork:
    """So many people who follow `following` others each, in the mean."""

    def __init__(self, people: int, following: int) -> None:
        self.following = following
        self._people = people
        self._harmonic = EULER + _ln(people)
        self.most_followers = min(people, people * following / self._harmonic)

    def authors_above(self, followers: float) -> int:
        """How many have more followers than this."""
        return min(self._people, int(self.most_followers / followers))

    def share_above(self, followers: float) -> float:
        """The part of all follows that are of those authors."""
        above = self.authors_above(followers)
        return (EULER + _ln(above)) / self._harmonic if above else 0.0


def _ln(number: float) -> float:
    return log(number) if number > 1 else 0.0
