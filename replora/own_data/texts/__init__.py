"""Texts to continue: a whole text or a column of texts, cut into pieces that are split by passage."""
