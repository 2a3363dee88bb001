"""How models beside each other go on with a text."""
