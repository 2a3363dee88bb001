"""The pictures of studies."""
