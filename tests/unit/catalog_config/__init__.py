"""Tests of how catalogs are reached."""
