"""Tables of users: delimited text, JSON lines and Parquet, and which columns hold texts and labels."""
