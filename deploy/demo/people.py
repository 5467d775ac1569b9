"""Who lives in the demo: ten people, and whom they follow.

Their names, ids and the one password are known to everybody who can read this: the demo is for looking at, and is
refused in production.
"""

import struct
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bson import ObjectId

DEMO_USERNAME = "ana"
PASSWORD = "photogram-demo"  # noqa: S105  public: every account of the demo has it
OPENED = datetime(2024, 5, 4, 9, 30, tzinfo=UTC)  # when the first of them joined; older than any clock will say
_MARK = b"demo\x00"


class Person(NamedTuple):
    """An account of the demo."""

    username: str
    display_name: str
    biography: str
    website: str
    follows: tuple[str, ...]
    is_private: bool = False


# A person in two lines reads better than in eight.
# fmt: off
PEOPLE = (
    Person("ana", "Ana Ferreira", "Lights, dots and the occasional spiral. Lisbon. You are signed in as me!",
           "https://ana.example", ("ben", "chloe", "diego", "emi", "farid", "greta")),
    Person("ben", "Ben Aebi", "Up early, down late. Mountains mostly.",
           "https://ridgelines.example", ("ana", "emi", "farid", "hugo", "noor", "chloe")),
    Person("chloe", "Chloé Martin", "Salt water person. I swim first and take pictures afterwards.",
           "https://saltwater.example/chloe", ("ana", "ben", "emi", "greta", "noor", "ines")),
    Person("diego", "Diego Ríos", "Graphic designer. One grid a day. Prints in the shop.",
           "https://onegridaday.example", ("ana", "greta", "ines", "chloe", "emi")),
    Person("emi", "Emi Saarinen", "Night sky from 67 degrees north. Cold hands, clear skies.",
           "https://emi.sky.example", ("ana", "ben", "hugo", "farid", "chloe")),
    Person("farid", "Farid El Amrani", "Desert guide. I count dunes for a living.",
           "https://dunes.example", ("ana", "ben", "emi", "chloe", "diego", "hugo")),
    Person("greta", "Greta Lindqvist", "Paper, scalpel, plasters. Paper-cut art and shop windows.",
           "https://cutbygreta.example", ("diego", "ines", "chloe", "noor", "hugo", "farid")),
    Person("hugo", "Hugo Weber", "Forester. The dog decides where we go.",
           "https://hugoinderwald.example", ("ben", "emi", "farid", "greta")),
    Person("ines", "Inês Duarte", "Illustrator. Flowers, balloons, stickers. Commissions open.",
           "https://ines.draws.example", ("diego", "greta", "chloe", "ben", "emi")),
    Person("noor", "Noor Haddad", "Walking home the long way. Friends only.",
           "https://noor.example", ("ana", "chloe", "greta", "ben", "diego", "hugo"), is_private=True),
)
# fmt: on
NUMBERS = {person.username: number for number, person in enumerate(PEOPLE)}
BY_NAME = {person.username: person for person in PEOPLE}

NOT_YET_ACCEPTED = (("ana", "noor"),)  # who asked to follow whom


def fixed_id(moment: datetime, number: int) -> ObjectId:
    """An id that is the same in every demo, so that examples can name it; it sorts by `moment` (whole seconds)."""
    return ObjectId(struct.pack(">I", int(moment.timestamp())) + _MARK + number.to_bytes(3, "big"))


def joined_at(username: str) -> datetime:
    """When a person made the account."""
    return OPENED + NUMBERS[username] * timedelta(hours=19)


def user_id(username: str) -> ObjectId:
    """The id of a person's account."""
    return fixed_id(joined_at(username), NUMBERS[username])


def friends_of(username: str) -> set[str]:
    """Those who follow a person, requests not counted."""
    return {person.username for person in PEOPLE if username in person.follows}
