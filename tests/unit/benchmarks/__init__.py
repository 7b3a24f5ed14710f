"""Tests of the benchmarks' charts."""
