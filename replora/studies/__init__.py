"""Studies: grids of runs, their paired statistics, and the sentence they allow.

Only `study` and `memory` load torch.
"""
