"""Recordings as they are shipped. No torch."""
