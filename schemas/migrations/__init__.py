"""The steps that made the table what it is, one file each, in the order of their numbers. Never change one that ran."""
