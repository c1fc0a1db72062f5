"""Preparation as a person sees it."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from repro import paths
from repro.data.manifest import PAGE, Prepared
from repro.data.preparing.asking import LARGEST, OF_A_FOLDER, SETTINGS, Order, order
from repro.data.preparing.embedded import prepare
from repro.data.preparing.estimate import Estimate, free_bytes, in_words
from repro.data.preparing.files import Asked, prepare_files
from repro.data.preparing.tokens import AskedTokens, prepare_tokens
from repro.data.progress import Progress, bars
from repro.data.tasks import start as tasks
from repro.errors import DataError, nearest
from repro.recipe import sources
from repro.recipe.display import duration
from repro.recipe.settings import given, whole

IMAGES = "images"  # a folder of one's own
TASKS = "tasks"  # what models are asked
VOCAB_SIZES = {"python-stdlib": 4096, "python-packages": 8192}  # those of the recipes that read them


def start(words: Sequence[str], *, console: Console) -> None:
    """Prepare a data set by name, a folder of documents, tokens or images, or what tasks ask, and say what it holds."""
    dataset, settings = (None, words) if "=" in words[0] else (words[0], words[1:])
    known = (*sources.names(), IMAGES, TASKS)
    if dataset is None:
        typed = _given(settings, OF_A_FOLDER)
        if "path" not in typed:
            raise DataError(f"give the name of a data set, or path=FOLDER. Known: {', '.join(known)}")
        _files(None, typed, console)
    elif dataset == IMAGES:
        from repro.data.images.start import start as copy  # torch and torchvision take seconds to import

        copy(settings, console=console)
    elif dataset == TASKS:
        tasks.start(settings, console=console)
    elif dataset not in known:
        hint = nearest(dataset, known)
        if Path(dataset).exists():
            hint = f" There is a folder of that name: path={dataset}."
        raise DataError(f"no data set is called {dataset!r}.{hint} Known: {', '.join(known)}")
    elif sources.load(dataset).kind == "embedded":
        _embedded(dataset, settings, console)
    else:
        _files(dataset, _given(settings, SETTINGS), console)


def _given(settings: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    return given(settings, known, verb="prepare", such_as=f"{known[0]}=...")


def _embedded(corpus: str, settings: Sequence[str], console: Console) -> None:
    value = _given(settings, ["vocab_size"]).get("vocab_size", str(VOCAB_SIZES[corpus]))
    vocab_size = whole("vocab_size", value, largest=LARGEST, such_as=8192)
    with bars() as progress:
        prepared = prepare(corpus, vocab_size=vocab_size, progress=progress)
    _say(console, *described(prepared))


def _files(dataset: str | None, typed: dict[str, str], console: Console) -> None:
    with bars() as progress:
        wanted = order(dataset, typed, progress)
        if not wanted.dry_run:
            made = _prepared(wanted, progress)
    if wanted.dry_run:
        _say(console, *forecast(wanted))
    elif isinstance(made, Prepared):
        _say(console, *described(made))
    else:
        command = shlex.join(["repro", "prepare", *([dataset] if dataset else []), *_without_shard(typed)])
        _say(console, f"{made} holds part {wanted.part}; when all parts are there, `{command}` takes them together")


def _without_shard(typed: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in typed.items() if key != "shard"]


def _prepared(wanted: Order, progress: Progress) -> Prepared | Path:
    if isinstance(wanted.asked, AskedTokens):
        return prepare_tokens(wanted.asked, processes=wanted.processes, progress=progress)
    return prepare_files(wanted.asked, part=wanted.part, processes=wanted.processes, progress=progress)


def forecast(wanted: Order) -> Iterator[str]:
    """What it would take, in a few lines."""
    asked, where = wanted.asked, paths.prepared()
    yield f"{asked.corpus}: {len(asked.listing.files):,} files of {asked.listing.found_in}"
    if isinstance(asked, AskedTokens):
        stored = sum(file.size for file in asked.listing.files)
        yield f"they hold {in_words(stored)} of tokens, which are checked and linked to, at the speed of the disk"
        return
    it = asked.estimate(asked.of(wanted.part), wanted.processes)
    yield from _costs(it, wanted.processes, asked)
    yield f"disk: about {in_words(it.disk_bytes)}, and {where} has {in_words(free_bytes(where))} free"


def _costs(it: Estimate, processes: int, asked: Asked) -> Iterator[str]:
    of_them = f", of which {in_words(it.remote_bytes)} to fetch" if it.remote_bytes else ""
    yield f"to read: {it.files:,} files, {in_words(it.stored_bytes)} as stored{of_them}"
    by = f"{asked.by.kind} of {asked.by.vocab_size:,} entries"
    yield f"tokens: about {it.tokens:,} by {by}, {in_words(it.shard_bytes)}; files come whole"
    yield f"time: about {it.core_hours:.2g} core-hours, {duration(it.core_hours / processes)} by {processes} processes"


def described(prepared: Prepared) -> Iterator[str]:
    """What a prepared set holds, in a few lines."""
    manifest = prepared.manifest
    yield f"{prepared.folder} is complete and verified, fingerprint {manifest.fingerprint}"
    for name, total in manifest.totals.items():
        yield f"{name}: {total.tokens:,} tokens of {total.documents:,} documents"
    if entropy := manifest.entropies:
        per_token = f"{entropy.bytes_per_token:.2f} bytes per token; " if entropy.bytes_per_token else ""
        models = f"a unigram model reaches {entropy.unigram:.3f}, a bigram model {entropy.bigram:.3f} nats per token"
        yield f"{per_token}{models} on validation"
    if left_out := {reason: number for reason, number in manifest.left_out.items() if number}:
        yield "left out: " + ", ".join(f"{number:,} {reason}" for reason, number in left_out.items())
    yield f"more in {prepared.folder / PAGE}"


def _say(console: Console, *lines: str) -> None:
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
