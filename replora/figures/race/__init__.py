"""The pictures of a race."""
