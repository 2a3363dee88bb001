"""What runs in the processes that the host forks."""
