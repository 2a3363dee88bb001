"""What the theory pages ask for and get: specs, events, the Monte Carlo as a job, the split of an expert."""
