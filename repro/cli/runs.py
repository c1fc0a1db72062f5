"""Verbs that train, and what training needs."""

from pathlib import Path
from typing import Annotated

import typer

from repro.cli import words
from repro.cli.app import app


@app.command()
def run(
    name: words.Name,
    overrides: words.Overrides = None,
    on: words.On = "here",
    seed: words.Seed = 0,
    out: words.Out = None,
) -> None:
    """Train a recipe. A finished run says so, a partial one goes on."""
    from repro.evaluation.during import callbacks, lacking
    from repro.training.start import start

    console = words.console()
    start(name, overrides or (), on=on, seed=seed, out=out, console=console, evaluating=callbacks, lacking=lacking)


@app.command()
def launch(
    name: words.Name,
    overrides: words.Overrides = None,
    *,
    on: Annotated[str, typer.Option("--on", metavar="MACHINE", help="A machine's name.", show_default=False)],
    seed: words.Seed = 0,
    out: words.Out = None,
    submit: Annotated[bool, typer.Option("--submit", help="Hand the script to sbatch.")] = False,
) -> None:
    """The SLURM script of a run on many nodes, and the same as torchrun's and TorchX's line."""
    from repro.training.launch import job
    from repro.training.slurm import start

    start(job(name, overrides or (), on=on, seed=seed, out=out), submit=submit)


@app.command()
def smoke(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One recipe at the smoke's scale.")] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Every family: all activations of dense and moe, ReLU and PolyNorm of the others."),
    ] = False,
    on: words.On = "here",
) -> None:
    """Six activations side by side in a minute or two, then checks of the software."""
    from repro.studies.start import start

    start(name, everything=everything, on=on, console=words.console())


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="such as c4, or path=FOLDER", show_default=False)],
    settings: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="such as tokens=1e9")] = None,
) -> None:
    """Tokenise a data set into shards, restartable at any moment; or take over another program's tokens.

    A set by name, or any folder of JSON lines, parquet, zip or text: path=FOLDER text_key=text name=NAME

    tokenizer=olmo, FILE, or bpe with vocab_size=8192; tokens=1e9 for a part; held_out=20: one document in so many;
    unusable=0.01: documents that may be left out; processes=N; dry_run=true. On several machines shard=1/4 and so on,
    then the same without it. A folder of dolma's or OLMo's .npy or Megatron's .bin and .idx is checked and linked to
    (eos_id=0: what ends a document there).

    Or copy a folder of images smaller, so that a run spends less on decoding: images path=FOLDER short_side=256

    Or fetch the items of downstream tasks, or take them from a folder: tasks names=arc_easy,piqa path=FOLDER
    """
    from repro.data.preparing.start import start

    start([dataset, *(settings or ())], console=words.console())


@app.command()
def doctor() -> None:
    """What works on this machine, what does not, and what to do about it."""
    from repro.training.doctor import start

    start(words.console())


@app.command()
def bench(
    what: Annotated[str, typer.Argument(metavar="step|loader|decode|...", help="What to measure.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write the files named above there.")] = None,
) -> None:
    """Measure, as rows like those of data/measured/.

    step: what the trainer adds to a training step on a CPU; bench.csv. On a GPU also steps of 1b, 1b7b and ResNet-50;
    bench-training.csv.

    loader: tokens a second of one core, against training steps. tokenise: text a second of all cores, against the
    tokenizer alone. images: images a second of one core, against the decoder alone; bench.csv.

    activations: PolyNorm and PolyReLU against their peers on a GPU; bench-activations.csv and activations.png.

    ffn: one 1b FFN with each activation, its memory and on a GPU its time; bench-ffn.csv.

    decode: tokens a second and memory of reading a prompt and of going on with it, by activation; bench-decode.csv.

    tasks: what evaluating downstream tasks takes beside the forward passes; bench.csv.
    """
    from repro.bench.start import start

    start(what, out=out, console=words.console())
