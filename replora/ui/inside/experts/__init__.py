"""The page 'Attention as experts'."""
