"""Tests of the use case by itself, over ports that do what a test says."""
