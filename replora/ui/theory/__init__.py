"""The pages that measure the theory."""
