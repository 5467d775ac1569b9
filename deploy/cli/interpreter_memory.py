"""The garbage collector of a long-lived process."""

import gc

NEW_OBJECTS = 50_000  # between two collections; a page of the feed or a chunk of a fan-out makes some thousands


def calm_collector() -> None:
    """Makes the collector skip what is loaded by now, and run seldom. To be called before the first work.

    Modules and the schema live as long as the process; collecting among them took a third of a feed worker's processor
    time. Most new objects are freed by their reference count: a run after every 700 took a tenth of a page of the feed.
    A run among so many holds up everything for some twenty milliseconds, so requests may leave nothing in cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
