"""``carousel-sync bench local``: a load of generated sales on the function, on this machine, measured and verified."""
