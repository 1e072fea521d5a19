"""Stages, the store that keeps what they make, and the executor that runs them."""
