"""Deploys and deletes the stack of a stage without losing its data."""
