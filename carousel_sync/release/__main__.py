"""Entry point of ``python -m carousel_sync.release``."""

from carousel_sync.release.commands import app

if __name__ == "__main__":
    app(prog_name="python -m carousel_sync.release")
