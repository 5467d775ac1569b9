"""`photogram` without a lane for large fan-outs: `python -m benchmarks.lib.one_feed_queue worker feed`.

Chunks are jobs of the feed worker, of which a process runs sixteen at once.
"""

from typing import Any, cast

from domain.jobs import JOBS, Fact, JobSpec, Task

JOBS_TO_CHANGE = cast("dict[Any, JobSpec]", JOBS)
JOBS_TO_CHANGE[Task.SPLIT_FAN_OUT, Fact.FAN_OUT] = JobSpec("feed", seconds=600)
JOBS_TO_CHANGE[Task.FAN_OUT_CHUNK, Fact.FAN_OUT] = JobSpec("feed", seconds=20)

if __name__ == "__main__":
    from deploy.cli.commands import main  # after the change, because handlers are made of these

    main()
