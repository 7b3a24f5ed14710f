"""``carousel-sync doctor``: a deployed stage, looked at from outside. Every check reads and none changes anything."""
