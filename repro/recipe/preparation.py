"""What preparing a recipe's data costs, by its corpus's manifest: before anything is fetched, and without torch."""

from collections.abc import Iterator
from dataclasses import dataclass

from repro.errors import RecipeError, nearest
from repro.recipe import sources
from repro.recipe.machine import HERE, cores
from repro.recipe.schema import Data, LanguageRecipe, Machine
from repro.recipe.sources import Files, Source

# Tokens a second that a core makes of text. Ours, in processor time on a machine of two cores with tokenizers 0.23.3:
# 0.46 M of English with OLMo's tokenizer (2.0 MB/s); 0.73 M of English and 0.56 M of Python with a BPE of 32,000
# entries. Llama 2's, which is gated, was not measured: it is taken for as fast as OLMo's.
RATE = 0.46e6
BPE_RATE = 0.60e6
NODE = 64  # cores that a machine of GPUs is taken to have, since its file does not say
UINT16 = 65_536  # entries of a vocabulary whose ids fit two bytes


@dataclass(frozen=True)
class Preparation:
    """What has to be done before a run can read its corpus; null is not known.

    Attributes:
        tokens: to prepare, held out ones included: for the budget, or one epoch where that is less; with a mixture so
            many that none of its subsets runs out, or all.
        share: of the whole set; 1 where its tokens are not known.
        download_gb: of files as stored, in that share; they come whole, so a small share takes more.
        shards_gb: that the prepared set takes.
        core_hours: of tokenising alone; 0 for a set that holds tokens.
        hours: on ``cores``: this machine's, or 64 for one that is named.
        mixture: what it means for a mixture, in words.
        gated: the repository of a tokenizer that has to be asked for.
        command: that prepares it.
    """

    corpus: str
    tokens: int | None
    share: float
    download_gb: float | None
    shards_gb: float | None
    core_hours: float | None
    cores: int
    hours: float | None
    mixture: str | None
    gated: str | None
    command: str


def preparation(recipe: LanguageRecipe, machine: Machine) -> Preparation | None:
    """The cost of preparing ``recipe``'s corpus; None where a run makes it itself, or where it is one's own.

    Raises:
        RecipeError: it has no such subset as the recipe's mixture names.
    """
    if recipe.data.corpus not in sources.names():
        return None
    source = sources.load(recipe.data.corpus)
    if source.read is None:
        return None
    _check_mixture(recipe, source.read)
    tokens, share = _tokens(recipe, source, source.read)
    core_hours = _core_hours(recipe, source.read, tokens)
    used = cores() if machine.name == HERE else NODE
    return Preparation(
        corpus=source.name,
        tokens=tokens,
        share=share,
        download_gb=share * source.bytes / 1e9 if isinstance(source.bytes, int) else None,
        shards_gb=None if tokens is None else tokens * _token_bytes(recipe) / 1e9,
        core_hours=core_hours,
        cores=used,
        hours=None if core_hours is None else core_hours / used,
        mixture=_mixed(recipe, source),
        gated=_gated(recipe.data.tokenizer),
        command=command(recipe.data, recipe.model.vocab_size, tokens if share < 1 else None),
    )


def _tokens(recipe: LanguageRecipe, source: Source, read: Files) -> tuple[int | None, float]:
    """Those of the budget and what is held out beside them, or more where that is too little to validate on; at most
    all that there are. And their share of all.
    """
    if not isinstance(source.tokens, int):
        return None, 1.0
    times = _times(recipe, source)
    if recipe.data.mixture and not times:
        return source.tokens, 1.0
    tokens = int(source.tokens * max(times.values())) if times else recipe.budget.tokens
    if read.mixed:
        tokens = max(tokens + tokens // max(1, read.held_out - 1), recipe.validation.tokens * read.held_out)
    tokens = min(tokens, source.tokens)
    return tokens, tokens / source.tokens


def _check_mixture(recipe: LanguageRecipe, read: Files) -> None:
    known = [*read.mixed, *read.train]
    for name in recipe.data.mixture or ():
        if name not in known:
            where, corpus = recipe.origin.get("data.mixture", "data.mixture"), recipe.data.corpus
            hint = f"{nearest(name, known)} It has: {', '.join(known)}"
            raise RecipeError(f"{where}: data.mixture: {corpus} has no subset {name!r}.{hint}")


def _times(recipe: LanguageRecipe, source: Source) -> dict[str, float]:
    """How often the budget goes through all there is of each subset of a mixture; nothing where that is not known."""
    weights = recipe.data.mixture or {}
    if not weights.keys() <= source.subsets.keys():
        return {}
    each = recipe.budget.tokens / sum(weights.values(), start=0.0) if weights else 0.0
    return {name: each * weight / source.subsets[name] for name, weight in weights.items()}


def _mixed(recipe: LanguageRecipe, source: Source) -> str | None:
    """What of the set a mixture takes, and why."""
    if not recipe.data.mixture:
        return None
    times = _times(recipe, source)
    if not times:
        return "all of it: how many tokens each subset of the mixture holds is not published"
    most = max(times, key=lambda name: times[name])
    if times[most] > 1:
        return f"all of it, and the mixture goes through {most} {times[most]:.3g} times"
    return f"enough to go through {most}, the scarcest, at most once; a subset of one file comes whole or not at all"


def _core_hours(recipe: LanguageRecipe, read: Files, tokens: int | None) -> float | None:
    if read.holds == "tokens":
        return 0.0
    return None if tokens is None else tokens / (BPE_RATE if recipe.data.tokenizer == "bpe" else RATE) / 3600


def _token_bytes(recipe: LanguageRecipe) -> int:
    return 2 if recipe.model.vocab_size <= UINT16 else 4


def _gated(name: str) -> str | None:
    """The repository of a tokenizer, if its owner has to be asked."""
    tokenizer = sources.load_tokenizer(name) if name in sources.tokenizers() else None
    return tokenizer.source if tokenizer and tokenizer.gated else None


def command(data: Data, vocab_size: int, part: int | None = None) -> str:
    """``repro prepare``, with the tokens of a part rounded up to three digits: ``tokens=251e9``."""
    published = data.corpus in sources.names()
    words = ["repro prepare", data.corpus if published else f"path=FOLDER name={data.corpus}"]
    words += tokenizer_words(data.corpus, data.tokenizer, vocab_size)
    if part is not None:
        words.append(f"tokens={_rounded_up(part)}")
    return " ".join(words)


def tokenizer_words(corpus: str, kind: str, vocab_size: int) -> Iterator[str]:
    """What has to be said of the tokenizer to prepare ``corpus`` with it."""
    if kind not in {"bpe", *sources.tokenizers()} or _gated(kind):
        yield "tokenizer=FILE"
    elif kind != (sources.load(corpus).tokenizer if corpus in sources.names() else "bpe"):
        yield f"tokenizer={kind}"
    if kind == "bpe":
        yield f"vocab_size={vocab_size}"


def _rounded_up(n: int) -> str:
    zeros = max(0, len(str(n)) - 3)
    return f"{-(-n // 10**zeros)}e{zeros}"
