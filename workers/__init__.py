"""The background work: workers run the jobs that are pending for facts."""
