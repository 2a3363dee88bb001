"""What pages are put together from: figures, cards, numbers, downloads, text."""
