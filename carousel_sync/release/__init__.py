"""Builds the artefact that is deployed."""
