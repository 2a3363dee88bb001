"""The page 'Adapter dial'."""
