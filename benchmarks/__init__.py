"""Benchmarks: two sides interleaved in one process, medians and ratios printed; never asserted in tests."""
