"""Tests of the DynamoDB adapters over the fake, the emulator and DynamoDB Local."""
