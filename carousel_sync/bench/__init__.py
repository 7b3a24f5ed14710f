"""``carousel-sync bench``: load on the function, as the queue would put it there, on this machine alone."""
