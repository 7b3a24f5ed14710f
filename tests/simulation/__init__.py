"""Deterministic simulation of the real use case, guard, commit and judgement; a scheduler owns steps and clock."""
