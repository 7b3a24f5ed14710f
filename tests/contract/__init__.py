"""The same tests over fakes, the emulator and real engines."""
