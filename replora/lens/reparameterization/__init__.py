"""What makes the factors of a RepLoRA run, and what changes when that does."""
