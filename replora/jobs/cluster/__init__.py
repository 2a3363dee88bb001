"""Jobs on a Ray cluster: a gateway stands where the job host does, and an agent on each node owns a host of its own.

The web process speaks to the gateway as to a host, and knows nothing of Ray.
"""
