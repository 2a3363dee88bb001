"""Whose turn it is: who waits in which order, and who has a place to run."""
