"""The page 'Inside the reparameterization'."""
