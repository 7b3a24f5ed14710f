"""Mutation tests: small changes to the protocol's code, each of which a test must detect."""
