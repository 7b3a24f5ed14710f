"""The migrations of the table, one file each, applied in the order of their numbers. Never change an applied one."""
