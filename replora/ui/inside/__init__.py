"""The pages that look into a race."""
