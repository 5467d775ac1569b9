"""The background work: paying the effects that facts owe."""
