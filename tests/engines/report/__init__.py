"""The page of a report in a real browser, and its figures on other engines."""
