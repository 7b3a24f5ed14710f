"""Tests of the function on the emulator."""
