"""The page Your data, and which own data a visitor has."""
