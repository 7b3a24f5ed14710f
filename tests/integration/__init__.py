"""Tests of modules together with real stores, an emulator or other processes, in folders named after the code."""
