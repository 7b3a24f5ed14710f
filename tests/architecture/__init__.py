"""The rules of the code's layout and imports, as tests."""
