"""Preparation as a person sees it."""

from collections.abc import Sequence

from rich.console import Console

from repro.data import sources
from repro.data.manifest import Prepared
from repro.data.prepare import prepare
from repro.data.progress import bars
from repro.errors import DataError, nearest

VOCAB_SIZES = {"python-stdlib": 4096, "python-packages": 8192}  # those of the recipes that read them

LARGEST = 1_000_000  # entries; no tokenizer in use has more


def start(dataset: str, settings: Sequence[str], *, console: Console) -> None:
    """Prepare a data set by name and say what it holds."""
    sources.load(dataset)
    vocab_size = _vocab_size(settings) or VOCAB_SIZES.get(dataset, 32_000)
    with bars() as progress:
        prepared = prepare(dataset, vocab_size=vocab_size, progress=progress)
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


def _vocab_size(settings: Sequence[str]) -> int | None:
    for setting in settings:
        key, _, value = setting.partition("=")
        if key != "vocab_size":
            raise DataError(
                f"prepare has no setting {key!r}.{nearest(key, ['vocab_size']) or ' There is: vocab_size.'}"
            )
        if not value.isdecimal() or int(value) > LARGEST:
            raise DataError(f"vocab_size={value}: expected a whole number up to {LARGEST}, such as vocab_size=8192")
        return int(value)
    return None
