"""The page 'Landscape'."""
