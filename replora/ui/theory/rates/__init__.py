"""The Rates page."""
