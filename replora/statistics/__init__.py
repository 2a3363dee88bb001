"""What paired runs allow one to say: intervals, and the sentence on them. Pure numbers, no torch."""
