"""Models of the hub: their names, whether they are on this machine already, and their download. No torch."""
