"""Tests of group commit, over a store and a queue that do what the test says."""
