"""What one process reads of the databases for Prometheus, on behalf of all."""
