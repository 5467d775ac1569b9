"""What the garbage collector of a long-lived process looks at."""

import gc


def keep_what_is_loaded() -> None:
    """Has the collector pass over all that is loaded by now: modules, the schema, what lives as long as the process.

    To be called before the first work. A third of a feed worker's processor time went into looking at it again and
    again, for each few thousand rows of a fan-out set off a whole collection.
    """
    gc.collect()
    gc.freeze()
