"""The embedded stack: an emulator of AWS on this machine, onto which the very template.yaml is deployed."""
