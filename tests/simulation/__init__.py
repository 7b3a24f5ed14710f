"""Deterministic simulation: the real use case, guard and judgement, as processes whose steps a scheduler chooses."""
