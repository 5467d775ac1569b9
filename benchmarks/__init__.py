"""Small measurements of what matters most, each against the barest way of doing the same in the same run."""
