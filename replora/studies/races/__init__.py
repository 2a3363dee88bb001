"""Grids of races on labelled tasks: what they come to."""
