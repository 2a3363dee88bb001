"""Training: many fine-tunes as one batch, told as a stream of events."""
