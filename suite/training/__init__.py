"""One training loop for every phase of every method, with its schedules, losses and feeds."""
