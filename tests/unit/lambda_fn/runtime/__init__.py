"""Tests of start, time and retries."""
