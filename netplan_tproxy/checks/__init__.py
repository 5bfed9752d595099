"""Does this host still work? Asked before a change and after it."""
