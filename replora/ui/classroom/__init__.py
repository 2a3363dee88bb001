"""The Classroom page: an instructor's desk, seats, and a view for the projector."""
