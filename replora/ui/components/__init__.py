"""Components of our own, in HTML and JavaScript: a pad to draw on, a live slider, a matrix to take hold of."""
