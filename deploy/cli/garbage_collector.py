"""What the garbage collector of a long-lived process looks at, and how often."""

import gc

NEW_OBJECTS = 50_000  # between two collections; a page of the feed or a chunk of a fan-out makes some thousands


def calm_collector() -> None:
    """Has the collector pass over all that is loaded by now, and look seldom at what is new.

    To be called before the first work. What is loaded (modules, the schema) lives as long as the process; looking at it
    again and again took a third of a feed worker's processor time. Most of what is new goes without the collector, when
    nobody refers to it any more: looking after every 700 objects took a tenth of a page of the feed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
