"""A class in a room: codes in place of accounts, what each seat trains, and what all found together. No torch."""
