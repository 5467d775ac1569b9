"""What `verify` looks for and `repair` repairs: one file for each kind of record, listed in `registry`."""
