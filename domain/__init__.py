"""What Photogram is about, in plain Python: records, rules, limits and errors, with no input or output."""
