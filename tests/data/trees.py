"""Small folders of generated sources."""

import random

WORDS = ("def", "return", "class", "self", "value", "index", "token", "window", "shard", "yield", "import", "order")


def source(seed, lines=24):
    """A text of random words, always the same for one seed."""
    rng = random.Random(seed)
    return "\n".join(" ".join(rng.choices(WORDS, k=6)) + f"  # {seed}.{line}" for line in range(lines)) + "\n"


def tree(root, files):
    """Write ``files``, by name; a number stands for the source of that seed."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source(content) if isinstance(content, int) else content)
    return root


def library(root, n_files=40):
    """A tree with documents in both splits."""
    return tree(root, {f"part_{number % 5}/module_{number:02d}.py": number for number in range(n_files)})


def contents(folder):
    """Every file of a folder, by name, with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
