"""The page about a prepared set, beside its shards: what a person may want to know before training on it."""

import math
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from repro.data.manifest import SPLITS, Manifest, Prepared
from repro.data.preparing.entropy import COUNTED
from repro.data.preparing.samples import CHARACTERS, Sample, samples
from repro.data.shards import Shard
from repro.markdown import block, code, plain, table
from repro.recipe import load, sources
from repro.recipe.schema import LanguageRecipe

LONGEST = 10
UNKNOWN = "not known"
TRAINED = ("dense-smoke-polynorm", "dense-4m-polynorm", "moe-1b7b-polynorm", "dense-1b-polynorm")  # by budget
EPOCHS = 4  # of a set at most; ours


def page(prepared_folder: Path, manifest: Manifest) -> str:
    """Markdown; the same set gives the same page.

    Args:
        prepared_folder: where its shards and its tokenizer lie, of which only those of the samples are opened.
        manifest: of the set.

    Raises:
        DataError: its tokenizer cannot be read.
    """
    sections = {
        "What it holds": _holdings(manifest),
        "What was left out": _left_out(manifest),
        "The longest documents": _longest(manifest),
        "Documents that come again": _duplicates(manifest),
        "What a loss means": _entropies(manifest),
        "Some documents": _samples(samples(Prepared(prepared_folder, manifest))),
        "Training on it": _training(manifest),
        "Made with": ", ".join(f"{plain(name)} {plain(version)}" for name, version in manifest.versions.items()),
    }
    return "\n\n".join([f"# {plain(manifest.corpus)}", _origin(manifest), *_titled(sections)]) + "\n"


def _titled(sections: dict[str, str]) -> Iterator[str]:
    for title, content in sections.items():
        yield f"## {title}\n\n{content}"


def _origin(manifest: Manifest) -> str:
    by = manifest.tokenizer
    asked = ", ".join(code(f"{key}={value}") for key, value in manifest.settings.items())
    files = len({shard.file for shard in manifest.shards})
    rows = [
        ("found in", plain(manifest.found_in)),
        ("asked for", asked or "all of it"),
        ("tokenizer", f"{plain(by.kind)}, {manifest.vocab_size:,} entries, sha256 {by.sha256[:12]}"),
        ("tokens", f"{manifest.dtype}, little-endian, {manifest.eos_id} after each document; {_many(files, 'file')}"),
        ("split", plain(manifest.split_rule)),
        ("fingerprint", manifest.fingerprint),
    ]
    return table(("", ""), [*rows, *_published(manifest.corpus)])


def _published(corpus: str) -> Iterator[tuple[str, str]]:
    """What is known of a set that has a manifest under ``data/manifests/``, and what is not."""
    if corpus not in sources.names():
        return
    source = sources.load(corpus)
    yield "licence", plain(source.licence)
    yield from (("inferred", plain(each)) for each in source.inferred)
    yield from (("note", plain(each)) for each in source.notes)


def _holdings(manifest: Manifest) -> str:
    """A row for each subset, where there are any, the largest first; and for each split."""
    every, subsets = manifest.shards, defaultdict[str, list[Shard]](list)
    for shard in every:
        subsets[shard.subset].append(shard)
    named = sorted(subsets, key=lambda subset: (-_tokens(subsets[subset]), subset)) if any(subsets) else []
    rows = [_row(code(subset) or "(none)", subsets[subset], every) for subset in named]
    rows += [_row(f"**{split}**", [shard for shard in every if shard.split == split], every) for split in SPLITS]
    header = ("", " documents", " tokens", " share", " bytes of text", " bytes per token")
    return table(header, [*rows, _row("**in all**", every, every)])


def _row(name: str, own: Sequence[Shard], every: Sequence[Shard]) -> tuple[str, ...]:
    tokens = _tokens(own)
    texts = [shard.bytes_of_text for shard in own if shard.bytes_of_text is not None]
    known = len(texts) == len(own)
    return (
        name,
        f"{sum(shard.documents for shard in own):,}",
        f"{tokens:,}",
        _percent(tokens, _tokens(every)),
        f"{sum(texts):,}" if known else UNKNOWN,
        (f"{sum(texts) / tokens:.2f}" if known else UNKNOWN) if tokens else "",
    )


def _tokens(own: Sequence[Shard]) -> int:
    return sum(shard.tokens for shard in own)


def _left_out(manifest: Manifest) -> str:
    reasons = sorted(manifest.left_out.items(), key=lambda reason: (-reason[1], reason[0]))
    rows = [(plain(reason), f"{many:,}") for reason, many in reasons if many]
    return table(("reason", " files or documents"), rows) if rows else "Nothing."


def _longest(manifest: Manifest) -> str:
    found = [piece.longest for piece in manifest.pieces if piece.longest]
    longest = sorted(found, key=lambda document: (-document.tokens, document.at))[:LONGEST]
    if not longest:
        return "Not known."
    most = "" if len(found) == len(longest) else f"; of these {len(found):,} the {LONGEST} longest"
    words = f"The longest of each part that the set was made in{most}:"
    return f"{words}\n\n" + table((" tokens", "where"), [(f"{each.tokens:,}", code(each.at)) for each in longest])


def _duplicates(manifest: Manifest) -> str:
    found = manifest.duplicates
    if found is None:
        return "Not known."
    share = _percent(found.duplicates, found.documents) or "none"
    if found.one_in == 1:
        return f"Of {_many(found.documents, 'document')}, {found.duplicates:,} with the text of one before: {share}."
    return (
        f"About {share}: of the {_many(found.documents, 'document')} whose hash is 0 modulo {found.one_in:,}, "
        f"{found.duplicates:,} have the text of one before. All copies of a text have one hash, so that the share "
        f"estimates that of the whole set, with about {found.duplicates * found.one_in:,} such documents."
    )


def _entropies(manifest: Manifest) -> str:
    found = manifest.entropies
    if found is None:
        return "Not measured, which takes a training and a validation split."
    known = {
        "nothing: equal odds for every token": math.log(manifest.vocab_size),
        "how often each token occurs (unigram)": found.unigram,
        "the token before as well (bigram)": found.bigram,
    }
    ratio = found.bytes_per_token
    bits = {what: f"{nats / math.log(2) / ratio:.3f}" if ratio else UNKNOWN for what, nats in known.items()}
    rows = [(what, f"{nats:.3f}", bits[what]) for what, nats in known.items()]
    return (
        "What a predictor reaches on validation that knows this of the training split. A model whose loss is below the "
        "last row has learned more than pairs of tokens.\n\n"
        f"{table(('it knows', ' nats per token', ' bits per byte'), rows)}{_counted(manifest)}"
    )


def _counted(manifest: Manifest) -> str:
    """What was not counted, if anything was not."""
    parts = [
        f"{most:,} of {manifest.totals[split].tokens:,} {split} tokens"
        for split, most in COUNTED.items()
        if manifest.totals[split].tokens > most
    ]
    return f"\n\nFrom {' and '.join(parts)}, in blocks at even distances." if parts else ""


def _samples(found: Iterator[Sample]) -> str:
    return "\n\n".join(f"{_caption(sample)}\n\n{block(sample.text)}" for sample in found) or "There are none."


def _caption(sample: Sample) -> str:
    shard = sample.shard
    whose = f"{code(shard.subset)}, " if shard.subset else ""
    how_much = "a whole document" if sample.is_whole else f"the first {CHARACTERS} characters of a document"
    return f"{whose}{shard.split}, {code(shard.file)} from token {shard.start + sample.start:,} on, {how_much}:"


def _training(manifest: Manifest) -> str:
    """A run on it: of the recipe with the largest budget that does not go through it too often, or of a part of one."""
    lacking = [split for split in SPLITS if not manifest.totals[split].tokens]
    if lacking:
        return f"No run can: there is no {lacking[0]} split."
    tokens = manifest.totals["train"].tokens
    smallest, *larger = map(_recipe, TRAINED)
    fitting = [each for each in larger if each.budget.tokens <= EPOCHS * tokens and _reads(each, manifest)]
    recipe = (fitting or [smallest])[-1]
    budget = min(recipe.budget.tokens, EPOCHS * tokens)
    line = " ".join(["repro run", recipe.name, *_overrides(recipe, manifest, budget)])
    return f"This goes through the training split {budget / tokens:.2g} times:\n\n```bash\n{line}\n```"


def _reads(recipe: LanguageRecipe, manifest: Manifest) -> bool:
    """Whether it is for such a vocabulary: a small one for any, the paper's for their own."""
    by, kind = recipe.data.tokenizer, manifest.tokenizer.kind
    return by == "bpe" or (by == kind and recipe.model.vocab_size >= manifest.vocab_size)


def _overrides(recipe: LanguageRecipe, manifest: Manifest, budget: int) -> Iterator[str]:
    data, vocab_size = recipe.data, recipe.model.vocab_size
    if data.corpus != manifest.corpus:
        yield shlex.quote(f"data.corpus={manifest.corpus}")
    if data.tokenizer != manifest.tokenizer.kind:
        yield f"data.tokenizer={manifest.tokenizer.kind}"
    padded = data.tokenizer == manifest.tokenizer.kind != "bpe" and vocab_size >= manifest.vocab_size
    if vocab_size != manifest.vocab_size and not padded:
        yield f"model.vocab_size={manifest.vocab_size}"
    if budget != recipe.budget.tokens:
        yield f"budget.tokens={budget} optim.warmup_tokens={budget // 10}"


def _recipe(name: str) -> LanguageRecipe:
    recipe = load(name)
    assert isinstance(recipe, LanguageRecipe)
    return recipe


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else ""


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
