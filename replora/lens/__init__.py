"""Looking into a race: questions from the web process, and the answers that the job host computes from snapshots."""
