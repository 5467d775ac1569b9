"""Global ids: opaque to clients, the type's name and the object's id within (Relay's object identification)."""

import base64
from binascii import b2a_base64
from functools import partial
from operator import attrgetter

from bson import ObjectId
from bson.errors import InvalidId

from domain.errors import BadInput
from domain.limits import GLOBAL_ID_MAX

# The twelve bytes of each id, in C. They are hashed and compared in C too: an ObjectId takes several times as long.
raw_ids = partial(map, attrgetter("_ObjectId__id"))


def to_global_id(type_name: str, object_id: ObjectId) -> str:
    """`Post` and an id become one URL-safe string."""
    # Of letters, digits and a colon, Base64 makes none of the two characters that are not safe in URLs.
    encoded = b2a_base64(f"{type_name}:{object_id.binary.hex()}".encode(), newline=False)
    return encoded.rstrip(b"=").decode()


def from_global_id(global_id: str) -> tuple[str, ObjectId]:
    """The type's name and the object's id. Raises BadInput for what `to_global_id` cannot have made."""
    if len(global_id) > GLOBAL_ID_MAX:
        raise BadInput("That is not a global id.")
    try:
        padded = global_id.encode("ascii") + b"=" * (-len(global_id) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        type_name, _, hexadecimal = text.partition(":")
        object_id = ObjectId(hexadecimal)
    except (ValueError, InvalidId) as error:
        raise BadInput("That is not a global id.") from error
    if to_global_id(type_name, object_id) != global_id:  # one id for an object: clients cache by it
        raise BadInput("That is not a global id.")
    return type_name, object_id


def expect_id(global_id: str, type_name: str) -> ObjectId | None:
    """The object's id; None for an id of another type or of none, so that callers answer as for a missing object."""
    try:
        actual_type, object_id = from_global_id(global_id)
    except BadInput:
        return None
    return object_id if actual_type == type_name else None
