"""The page 'Generated text'."""
