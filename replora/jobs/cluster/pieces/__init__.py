"""A study in pieces: cut, spread over nodes, merged, kept."""
