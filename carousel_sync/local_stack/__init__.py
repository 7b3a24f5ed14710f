"""The embedded stack: an AWS emulator on this machine, with template.yaml deployed to it."""
