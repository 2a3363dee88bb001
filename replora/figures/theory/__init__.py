"""The pictures of the theory."""
