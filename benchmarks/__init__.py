"""Small measurements of what matters most, each beside the barest way of doing the same, in the same run."""
