"""What one visitor has on this server, whatever page is open."""
