"""What is around every page: frame, menu, style."""
