"""Models of the hub and of packages: names, whether they are on this machine, and their download. No torch."""
