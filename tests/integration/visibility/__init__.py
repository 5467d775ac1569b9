"""Who may see what, by every way into the schema: a cast, the rules in words of their own, and the walk."""
