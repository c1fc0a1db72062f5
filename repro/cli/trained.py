"""Verbs that take what has been trained."""

from pathlib import Path
from typing import Annotated

import typer

from repro.cli import words
from repro.cli.app import app


@app.command("eval")
def eval_(
    of: words.Of,
    settings: words.Settings = None,
    *,
    sets: Annotated[str | None, typer.Option(metavar="SETS", help="Prepared sets, such as c4,wikipedia.")] = None,
    tasks: Annotated[str | None, typer.Option(metavar="TASKS", help="Such as arc_easy,piqa, or table-1.")] = None,
    on: words.On = "here",
) -> None:
    """Losses on prepared sets and accuracies on tasks, of every checkpoint that a run kept.

    Without --sets and --tasks those of its recipe; of images top-1 and top-5.
    Goes on where it was stopped. Settings:

    limit=N       items of each task
    tokens=N      of each part of a set
    step=N        only that checkpoint
    files=FOLDER  where the tasks' JSON lines lie
    """
    from repro.evaluation.start import start

    start(of, settings or (), sets=sets, tasks=tasks, on=on, console=words.console())


@app.command()
def generate(
    of: words.Of,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Text to go on from.", show_default=False)],
    settings: words.Settings = None,
    on: words.On = "here",
) -> None:
    """Go on with a text, with a run's newest checkpoint: the likeliest token each time.

    Any of temperature, top_k and top_p has tokens drawn. Settings:

    tokens=64        how many at most
    temperature=0.8  that logits are divided by
    top_k=50         only so many of the likeliest
    top_p=0.9        only the likeliest that together reach this share
    seed=0           of the draws
    step=N           another checkpoint
    """
    from repro.evaluation.generating.generate import start

    start(of, prompt, settings or (), on=on, console=words.console())


@app.command()
def export(
    of: words.Of,
    settings: words.Settings = None,
    *,
    to: Annotated[str, typer.Option("--to", metavar="hf|safetensors", help="The format.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="PATH", help="Instead of a place in the run's folder.")] = None,
) -> None:
    """Write the weights of a run's newest checkpoint for other programs. What is there is replaced.

    Where a recipe averages weights (optim.ema), the averaged ones. Formats:

    safetensors  one file, with the model's own names, in float32
    hf           a folder for transformers, with tokenizer and card: SwiGLU as
                 Llama or OLMoE, others with their own code

    Settings:

    step=N  another checkpoint
    """
    from repro.interop.start import start

    start(of, settings or (), to=to, out=out, console=words.console())


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A checkpoint's file or folder.", show_default=False)],
    settings: words.Settings = None,
    *,
    source: Annotated[
        str, typer.Option("--from", metavar="official|hf|torchvision", help="Whose layout.", show_default=False)
    ],
    as_: Annotated[str, typer.Option("--as", metavar="NAME", help="The recipe that it fits.", show_default=False)],
    out: words.Out = None,
) -> None:
    """Make a run of weights that others trained, to evaluate, generate and export. Nothing of theirs is executed.

    Layouts:

    official     the paper's, of Megatron, OLMo or Hugging Face
    hf           stock Llama and OLMoE
    torchvision  a ResNet-50

    Settings, and those of the recipe, such as model.vocab_size=32000:

    tokenizer=FILE  if none lies beside: a tokenizer.json, its folder, or olmo
    step=N          that the checkpoint is to be called by, instead of 0
    """
    from repro.interop.importing.imports import start

    start(path, settings or (), source=source, name=as_, out=out, console=words.console())
