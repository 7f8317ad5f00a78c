"""``python -m waykeep``: the same program as the console script ``waykeep``."""

from __future__ import annotations

from waykeep.cli.main import main

if __name__ == "__main__":
    main()
