"""What is kept of jobs beyond the life of the web process: rows in one SQLite file, event lines in a file a job."""
