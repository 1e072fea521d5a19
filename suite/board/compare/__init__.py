"""Comparing entries: paired differences on the same examples, and the rows where they disagree."""
