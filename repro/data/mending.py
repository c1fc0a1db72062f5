"""What to do about a damaged set: the words that prepared it."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from repro.recipe import sources
from repro.recipe.preparation import tokenizer_words

if TYPE_CHECKING:
    from repro.data.manifest import Manifest

AGAIN = "prepare it again as it was prepared"


def mend(manifest: "Manifest") -> str:
    """The command that prepares the set again, as far as its manifest tells; FILE stands for a tokenizer's."""
    if "path" not in manifest.settings and manifest.corpus not in sources.names():
        return AGAIN  # a published set that was given a name of its own
    return f"mend it with `{shlex.join(_words(manifest))}`"


def _words(manifest: "Manifest") -> Iterator[str]:
    settings, corpus = manifest.settings, manifest.corpus
    yield from ("repro", "prepare")
    if "path" not in settings:
        yield corpus
    yield from (f"{key}={value}" for key, value in settings.items())
    yield from tokenizer_words(corpus, manifest.tokenizer.kind, manifest.vocab_size)
    if "path" in settings and corpus != Path(settings["path"]).stem:
        yield f"name={corpus}"
