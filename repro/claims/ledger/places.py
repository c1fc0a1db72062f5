"""How a file of evidence is named to a person."""

from pathlib import Path

from repro import paths


def named(file: Path) -> str:
    """``data/measured/...`` of what comes with the kit, wherever that is installed; else as it was found."""
    root = paths.data()
    return f"data/{file.relative_to(root).as_posix()}" if file.is_relative_to(root) else str(file)
