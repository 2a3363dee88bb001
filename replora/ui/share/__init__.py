"""What is on the screen, for others: a link, a QR code, a frame for a page of one's own, the projector."""
