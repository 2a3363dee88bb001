"""How much memory a job takes before it is started, how much it may take, and how its process is held to that."""
