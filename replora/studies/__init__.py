"""Studies: grids of runs, their paired statistics, and the sentence they allow.

Only `study`, `batch_size` and what trains teachers and students load torch.
"""
