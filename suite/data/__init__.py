"""Examples: where they come from, which rows a track uses, as token ids, in batches."""
