"""A measurement's page: what was timed, against what, on which machine, and for which entries it speaks."""
