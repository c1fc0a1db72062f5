"""The model card of an export: what the model is, what it reached, and what that is evidence of."""

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import RunError
from repro.interop.exporting.huggingface import is_stock
from repro.interop.importing.imported import origin
from repro.recipe.parameters import count
from repro.recipe.runs import read_metrics
from repro.recipe.schema import DecoderRecipe

Cells = Sequence[str]
_COUNTS = "set", "documents", "tokens"
_LOSSES = *_COUNTS, "nats per token", "95 % interval over documents", "perplexity per token", "bits per byte"
_MEASURES = "nats_per_token", "nats_per_token_low", "nats_per_token_high", "perplexity", "bits_per_byte"
_TASKS = "task", "split", "items", "metric", "value", "standard error"

_BOS = "A text begins after a token of its own, which the tokenizer adds"
_NEEDS = "Needs transformers 5 and torch 2.11 or newer"
_EOS = "A document begins after the token that ends the one before it, as in training; the tokenizer does not add it"


@dataclass(frozen=True)
class Export:
    """What is known of an export.

    Attributes:
        folder: the run's.
        recipe: as the run's folder holds it.
        step: after which the checkpoint was written.
        fingerprint: of the recipe.
        date: of the export, ISO 8601.
        made_by: the version of the kit that exports, with its commit.
        begins: whether its tokenizer puts a token of its own before a text.
    """

    folder: Path
    recipe: DecoderRecipe
    step: int
    fingerprint: str
    date: str
    made_by: str
    begins: bool = False


def card(export: Export) -> str:
    """A ``README.md`` for the hub."""
    recipe = export.recipe
    parts = [
        _FRONT,
        f"# {recipe.name}, step {export.step:,}",
        _about(export),
        "## How to load it",
        _loading(trust=not is_stock(recipe.model), begins=export.begins),
        "## Origin",
        _table(("", ""), _training(export)),
        *_evaluated(export),
        "## Numerics",
        _numerics(recipe),
    ]
    return "\n\n".join(parts) + "\n"


def _about(export: Export) -> str:
    recipe, said = export.recipe, origin(export.folder)
    shape = f"""A language model of {count(recipe.model).total:,} parameters whose feed-forward networks have
        `{recipe.model.activation}` for their activation"""
    if said:
        return _wrapped(f"""{shape}. polycom-repro did not train it: its weights are those of `{said["path"]}`, as laid
            out by {said["layout"]}, and fit the model of the recipe `{recipe.name}`.""")
    paper = "*Polynomial Composition Activations* (PolyCom, [arXiv 2411.03884](https://arxiv.org/abs/2411.03884))"
    trained = _wrapped(f"""{shape}: {recipe.about}. It was trained by the recipe `{recipe.name}` of polycom-repro, which
        reproduces {paper}. It is not the paper's own model.""")
    return f"{trained}\n\n{_wrapped(f'**What it is evidence of:** {recipe.shows}.')}"


def _wrapped(paragraph: str) -> str:
    return textwrap.fill(" ".join(paragraph.split()), 120, break_long_words=False, break_on_hyphens=False)


_FRONT = """---
library_name: transformers
pipeline_tag: text-generation
tags: [polycom, "arxiv:2411.03884"]
---"""


def _loading(*, trust: bool, begins: bool) -> str:
    own = "\n\nIts code is in this folder (`*_polycom.py`, Apache-2.0): read it before you trust it." if trust else ""
    trusted = ", trust_remote_code=True" if trust else ""
    before, first = ("", _BOS) if begins else ("tokenizer.bos_token_id, ", _EOS)
    return f"""```python
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this one
tokenizer = AutoTokenizer.from_pretrained(folder{trusted})
model = AutoModelForCausalLM.from_pretrained(folder{trusted})
prompt = torch.tensor([[{before}*tokenizer("The order of a polynomial").input_ids]])
print(tokenizer.decode(model.generate(prompt, max_new_tokens=40)[0]))
```

{_wrapped(f"{first}. It takes what looks like a special token in a text for letters. {_NEEDS}.")}{own}"""


def _training(export: Export) -> Iterable[Cells]:
    recipe, parameters = export.recipe, count(export.recipe.model)
    yield "recipe", f"`{recipe.name}`, fingerprint `{export.fingerprint}`"
    yield "parameters", f"{parameters.total:,}, {parameters.non_embedding:,} without embedding and head"
    if rank := recipe.model.ffn_rank:
        yield "FFN matrices", f"of rank {rank}: products of two factors, as counted; multiplied out in these files"
    yield "context", f"{recipe.data.context:,} tokens"
    if not origin(export.folder):
        yield from _run(export)
    yield "exported", f"{export.date} by polycom-repro {export.made_by}"


def _run(export: Export) -> Iterable[Cells]:
    recipe, run = export.recipe, _json(export.folder / "versions.json")
    batch = recipe.budget.tokens_per_step
    if re.fullmatch(r"seed-\d+", export.folder.name):
        yield "seed", export.folder.name.removeprefix("seed-")
    if recipe.paper_item:
        yield "in the paper", recipe.paper_item
    yield "steps", f"{export.step:,} of {recipe.steps:,}"
    yield "tokens", f"{export.step * batch:,}, {batch:,} a step"
    yield "data", f"{recipe.data.corpus}{_fingerprint(run)}, tokenizer `{recipe.data.tokenizer}`"
    yield from _validation(export)
    if run:
        yield "trained with", _versions(run)


def _fingerprint(run: dict[str, Any]) -> str:
    return f" (fingerprint `{run['data']}`)" if "data" in run else ""


def _versions(run: dict[str, Any]) -> str:
    known = [f"{name} {run[name]}" for name in ("torch", "lightning", "python") if name in run]
    return ", ".join([f"polycom-repro {run['repro']}", *known, f"on {run['device']}"])


def _validation(export: Export) -> Iterable[Cells]:
    path = export.folder / "metrics.csv"
    rows = [row for row in read_metrics(path) if row["validation_loss"]] if path.is_file() else []
    if found := [row for row in rows if int(row["step"]) <= export.step]:
        step, loss = int(found[-1]["step"]), float(found[-1]["validation_loss"])
        when = "" if step == export.step else f", at step {step:,}"
        over = f"a mean over at most {export.recipe.validation.tokens:,} tokens of the corpus's held-out split"
        yield "validation loss", f"{loss:.4f} nats per token of its own tokenizer{when}: {over}"


def _evaluated(export: Export) -> list[str]:
    """Tables of what ``repro eval`` found of this checkpoint."""
    losses, tasks = (
        [row for row in _json(export.folder / f"evaluation/{kind}.json").get("rows", ()) if row["step"] == export.step]
        for kind in ("losses", "tasks")
    )
    parts = [_table(_LOSSES, map(_loss, losses))] if losses else []
    parts += [_table(_TASKS, map(_task, tasks))] if tasks else []
    return ["## Evaluation", *parts] if parts else []


def _loss(row: dict[str, Any]) -> Cells:
    name = row["set"] if row.get("subset") in {None, "", "all", row["set"]} else f"{row['set']}, {row['subset']}"
    tokens = f"{row['tokens']:,}" + (" (not all)" if row["tokens_asked"] else "")
    nats, *interval, perplexity, bits = (_number(row[unit]) for unit in _MEASURES)
    return name, f"{row['documents']:,}", tokens, nats, " to ".join(filter(None, interval)), perplexity, bits


def _task(row: dict[str, Any]) -> Cells:
    items = f"{row['items']:,}" + (" (not all)" if row.get("limit") else "")
    return f"`{row['task']}`", row["split"], items, row["metric"], _number(row["value"]), _number(row["error"])


def _numerics(recipe: DecoderRecipe) -> str:
    said = """Weights are in float32, as they were trained. In float32 the logits are those of polycom-repro, on a CPU
to the bit. In bfloat16 (`dtype=torch.bfloat16`) transformers rounds the rotations of positions, which polycom-repro
does not: last digits differ."""
    if not is_stock(recipe.model):
        said += " What activations and routers learned stays in float32, as in training."
    if recipe.data.document_mask:
        said += " In training, attention stayed within a document; here it does not: give it one document a sequence."
    return _wrapped(said)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _table(columns: Cells, rows: Iterable[Cells]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _json(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError as error:
        raise RunError(f"{path} is damaged, and the model's card tells what it holds: remove it, or mend it") from error
    return read
