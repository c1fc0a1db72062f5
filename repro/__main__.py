"""``python -m repro`` is ``repro``."""

from repro.cli import main

if __name__ == "__main__":
    main()
