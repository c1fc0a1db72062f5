"""Preparation as a person sees it."""

from collections.abc import Sequence

from rich.console import Console

from repro.data import sources
from repro.data.manifest import Prepared
from repro.data.prepare import prepare
from repro.data.progress import bars
from repro.data.settings import given, whole
from repro.errors import DataError, nearest

IMAGES = "images"  # a folder of one's own
VOCAB_SIZES = {"python-stdlib": 4096, "python-packages": 8192}  # those of the recipes that read them
LARGEST = 1_000_000  # entries; no tokenizer in use has more


def start(dataset: str, settings: Sequence[str], *, console: Console) -> None:
    """Prepare a data set by name, or a folder of images, and say what it holds."""
    known = (*sources.names(), IMAGES)
    if dataset not in known:
        raise DataError(f"no data set is called {dataset!r}.{nearest(dataset, known)} Known: {', '.join(known)}")
    if dataset != IMAGES:
        _text(dataset, settings, console)
        return
    from repro.data.images.start import start as copy  # torch and torchvision take seconds to import

    copy(settings, console=console)


def _text(corpus: str, settings: Sequence[str], console: Console) -> None:
    value = given(settings, ["vocab_size"]).get("vocab_size")
    vocab_size = whole("vocab_size", value, largest=LARGEST, such_as=8192) if value else VOCAB_SIZES.get(corpus, 32_000)
    with bars() as progress:
        prepared = prepare(corpus, vocab_size=vocab_size, progress=progress)
    console.print(describe(prepared), highlight=False, soft_wrap=True)


def describe(prepared: Prepared) -> str:
    """What a prepared set holds, in a few lines."""
    manifest = prepared.manifest
    splits = [
        f"{name}: {total.tokens:,} tokens of {total.documents:,} documents" for name, total in manifest.totals.items()
    ]
    entropy = manifest.entropies
    models = f"a unigram model reaches {entropy.unigram:.3f}, a bigram model {entropy.bigram:.3f} nats per token"
    return "\n".join(
        [
            f"{prepared.folder} is complete and verified, fingerprint {manifest.fingerprint}",
            *splits,
            f"{entropy.bytes_per_token:.2f} bytes per token; {models} on validation",
        ]
    )
