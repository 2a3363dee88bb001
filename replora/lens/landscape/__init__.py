"""The plane through the frozen model and two of a race's runs: where their snapshots are, and the loss on it."""
