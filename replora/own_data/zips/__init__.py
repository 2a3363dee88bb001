"""Zips of pictures: what may be in one, and which folder names a class."""
