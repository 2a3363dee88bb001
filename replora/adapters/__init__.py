"""Adapters: how A and B arise, the low-rank linear layer, attaching, merging, detaching."""
