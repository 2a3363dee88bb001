"""The processes that read files of users: whose turn it is."""
