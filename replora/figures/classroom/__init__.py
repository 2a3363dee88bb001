"""The pictures of a class in a room."""
