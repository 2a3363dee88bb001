"""A user's own data: read with care, split, and kept as a task like any other. No torch, nothing is ever executed."""
