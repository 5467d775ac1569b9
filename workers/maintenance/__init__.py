"""Maintenance: `verify` and `repair` check and repair every record, `gc` removes what nothing needs."""
