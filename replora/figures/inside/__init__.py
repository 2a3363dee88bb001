"""The pictures of what is inside a race."""
