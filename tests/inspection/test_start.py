"""`repro analyze` as a person meets it: what it says, what it leaves beside the run, and what each mistake gets."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from repro.errors import RecipeError, ReproError, RunError
from repro.inspection import written
from repro.recipe.runs import IMPORTED
from repro.training import checkpoints
from repro.training.holding import held
from tests.inspection.stand_ins import StandIn

PARTS = ["weights", "states", "activations", "sparsity"]


def page(run):
    return (run / "analysis" / "README.md").read_text()


def rows(run, name):
    with (run / "analysis" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(run):
    return {path: path.read_bytes() for path in (run / "analysis").rglob("*") if path.is_file()}


def refused(analyze, *settings, kind=ReproError, **more):
    with pytest.raises(kind) as caught:
        analyze(*settings, **more)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_each_part_leaves_its_tables_figures_and_arrays(a_run, planted, analyze):
    said = analyze()
    assert said.splitlines()[0] == "weights: 1 figure, 1 table, 1 array file"
    assert said.endswith("kept in run/analysis; read run/analysis/README.md\n")
    found = {path.name for path in (a_run / "analysis").iterdir()}
    own = {f"{part}{end}" for part in PARTS for end in (".csv", "-drawn.png", "-all.npz")}
    assert found == own | {"README.md", "analysis.json", "tensorboard"}
    assert np.load(a_run / "analysis" / "states-all.npz")["matrix"].tolist() == [[0.5] * 3] * 2


def test_measures_are_given_all_checkpoints_and_a_sample(a_run, planted, analyze):
    analyze("tokens=64")
    ((of, sample, more),) = planted["states"].calls
    assert [one.step for one in of] == [20, 24]
    assert (sample.what, more) == ("64 held-out tokens of python-stdlib", {})


def test_a_step_is_the_only_checkpoint_then(a_run, planted, analyze):
    analyze("step=20", "parts=weights")
    assert {row["step"] for row in rows(a_run, "weights")} == {"20"}
    assert "has no complete checkpoint of step=21; there are those of 20, 24" in refused(analyze, "step=21")


def test_what_is_no_number_is_an_empty_cell(a_run, planted, analyze):
    analyze("parts=weights")
    assert rows(a_run, "weights")[0] == {"step": "20", "layer": "0", "name": "layers.0", "share": "0.5", "none": ""}
    assert "nan" not in page(a_run).lower()


def test_the_page_can_be_read_without_the_code(a_run, planted, analyze):
    analyze()
    text = page(a_run)
    for words in (
        "# Inside dense-smoke-polynorm",
        "it is no evidence about the paper",
        "## Weights\n\nWhat a test plants.",
        "### A drawing\n\n![A drawing](weights-drawn.png)\n\nGrey, in metres | of \\*nothing\\*.",
        "| step | layer | name | share |",
        "| 24 | 0 | layers.0 | 0.5 |",
        "`matrix` 2 x 3",
        "held-out tokens of python-stdlib",
        "polycom-repro ",
    ):
        assert words in text, words
    assert "| 20 | 0 |" not in text  # older checkpoints are for the CSV
    assert "2 rows of the newest checkpoint; all 4: [weights.csv](weights.csv)." in text


def test_of_a_long_table_the_page_has_some_rows_spread_evenly(a_run, planted, analyze):
    planted["weights"].rows = 40
    analyze("parts=weights", "step=24")
    shown = [
        int(line.split("|")[2]) for line in page(a_run).splitlines() if line.startswith("| 24 | ") and "layers" in line
    ]
    assert shown == [i * 5 for i in range(8)]
    assert "Only 8 rows, spread evenly over 40; all 40: [weights.csv](weights.csv)." in page(a_run)


def test_analysing_again_replaces_what_was_asked_for_and_keeps_the_rest(a_run, planted, analyze):
    analyze()
    (a_run / "analysis" / "notes.txt").write_text("mine")
    before = contents(a_run)
    planted["states"] = StandIn("states", mark=0.25)
    analyze("parts=states")
    after = contents(a_run)
    changed = {path.relative_to(a_run / "analysis").parts[0] for path in after if before.get(path) != after[path]}
    assert changed <= {"README.md", "analysis.json", "states.csv", "states-drawn.png", "states-all.npz", "tensorboard"}
    assert {row["share"] for row in rows(a_run, "states")} == {"0.25"}
    assert (a_run / "analysis" / "notes.txt").read_text() == "mine"
    assert [line for line in page(a_run).splitlines() if line.startswith("## ")][:4] == [
        f"## {part.capitalize()}" for part in PARTS
    ]


def test_what_others_have_put_there_before_the_first_time_stays(a_run, planted, analyze):
    (a_run / "analysis" / "mine").mkdir(parents=True)
    (a_run / "analysis" / "mine" / "notes.txt").write_text("mine")
    analyze("parts=weights")
    assert (a_run / "analysis" / "mine" / "notes.txt").read_text() == "mine"
    assert rows(a_run, "weights")


def test_a_file_that_a_part_no_longer_has_goes(a_run, planted, analyze, monkeypatch):
    analyze("parts=states")
    monkeypatch.setattr(planted["states"], "NAME", "other")
    analyze("parts=states")
    names = {path.name for path in (a_run / "analysis").iterdir()}
    assert "other.csv" in names
    assert "states.csv" not in names


def test_tensorboard_has_each_figure_once_beside_training_s_events(a_run, planted, analyze):
    before = {path: path.read_bytes() for path in (a_run / "tensorboard").iterdir()}
    for _ in range(2):
        analyze("parts=weights,states")
    for part in ("weights", "states"):
        (events,) = (a_run / "analysis" / "tensorboard" / part).iterdir()
        read = EventAccumulator(str(events)).Reload()
        assert read.Tags()["images"] == [f"{part}/{part}-drawn"]
        (image,) = read.Images(f"{part}/{part}-drawn")
        assert (image.step, image.encoded_image_string[:4]) == (24, b"\x89PNG")
    assert {path: path.read_bytes() for path in (a_run / "tensorboard").iterdir()} == before


def test_what_does_not_apply_is_told_and_the_rest_goes_on(a_run, planted, analyze):
    planted["states"].refused = "this has no states"
    said = analyze("parts=states,weights")
    assert said.startswith("states: this has no states\n")
    assert "- States: this has no states\n" in page(a_run)
    assert "- Sparsity: not looked into yet: `parts=sparsity` adds it" in page(a_run).replace("\\`", "`")
    assert not (a_run / "analysis" / "states.csv").exists()


def test_where_nothing_applies_nothing_is_written(a_run, planted, analyze):
    planted["states"].refused, planted["sparsity"].refused = "no states", "no neurons"
    assert refused(analyze, "parts=states,sparsity") == "states: no states; sparsity: no neurons"
    assert not (a_run / "analysis").exists()


def test_a_part_that_fails_is_told_once_the_others_are_written(a_run, planted, analyze):
    planted["weights"].raises = RunError("layers.0.mlp.up_proj.weight is not finite")
    assert refused(analyze) == "weights: layers.0.mlp.up_proj.weight is not finite"
    assert not (a_run / "analysis" / "weights.csv").exists()
    assert rows(a_run, "sparsity")
    planted["states"].raises = RunError("no")
    assert refused(analyze, "parts=weights,states") == "layers.0.mlp.up_proj.weight is not finite"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_stops_a_part_leaves_what_was_there_and_what_was_finished(a_run, planted, analyze, error):
    analyze()
    planted["weights"].mark = 0.25
    planted["states"].raises = error("no")
    with pytest.raises(error):
        analyze()
    assert {row["share"] for row in rows(a_run, "weights")} == {"0.25"}
    assert {row["share"] for name in PARTS[1:] for row in rows(a_run, name)} == {"0.5"}
    assert all(f"## {part.capitalize()}" in page(a_run) for part in PARTS)


def test_files_that_no_analysis_wrote_are_told_before_anything_is_computed(a_run, planted, analyze):
    folder = a_run / "analysis"
    folder.mkdir()
    (folder / "weights.csv").write_text("mine")
    said = "run/analysis holds weights.csv, which no analysis wrote; move it away"
    assert refused(analyze, kind=RunError) == said
    assert not planted["weights"].calls
    assert analyze("parts=states"), "in whose way it is not"
    assert (folder / "weights.csv").read_text() == "mine"
    (folder / "weights.csv").unlink()
    analyze()
    (folder / "analysis.json").unlink()
    assert refused(analyze) == (
        "run/analysis holds README.md, activations.csv, sparsity-all.npz and 4 more, which no analysis wrote; "
        "move them away"
    )


def test_links_that_a_person_has_put_there_go_on_to_lead_where_they_did(a_run, planted, analyze, here):
    (here / "elsewhere").mkdir()
    (a_run / "analysis").mkdir()
    links = {"folder": here / "elsewhere", "nothing": here / "nowhere"}
    for name, target in links.items():
        (a_run / "analysis" / name).symlink_to(target)
    analyze("parts=weights")
    for name, target in links.items():
        assert (a_run / "analysis" / name).readlink() == target


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_stops_the_writing_leaves_what_was_there(a_run, planted, analyze, monkeypatch, error):
    analyze()
    before = contents(a_run)

    def stop(part):
        raise error

    monkeypatch.setattr(written, "_events", stop)
    with pytest.raises((KeyboardInterrupt, RunError)) as caught:
        analyze("parts=states")
    assert contents(a_run) == before
    assert not list(a_run.glob(".writing*"))
    if isinstance(error, OSError):
        assert str(caught.value).endswith("analysis: No space left on device")


def test_two_at_once_are_refused(a_run, planted, analyze):
    import multiprocessing

    forked = multiprocessing.get_context("fork")
    holding, over = forked.Event(), forked.Event()
    other = forked.Process(target=_hold, args=(a_run / ".analysis.lock", holding, over))
    other.start()
    try:
        assert holding.wait(30)
        assert refused(analyze) == "run is being analysed by another process; wait for it"
    finally:
        over.set()
        other.join()


def _hold(lock, holding, over):
    with held(lock):
        holding.set()
        over.wait(60)


def test_a_damaged_index_is_told(a_run, planted, analyze):
    analyze("parts=weights")
    (a_run / "analysis" / "analysis.json").write_text("{")
    planted["weights"].calls.clear()
    assert "analysis.json is damaged; remove run/analysis to analyse anew" in refused(analyze, "parts=weights")
    assert not planted["weights"].calls


def test_a_run_without_checkpoints_is_told(a_run, planted, analyze):
    shutil.rmtree(a_run / "checkpoints")
    assert "run has no complete checkpoint; `repro run` writes one as it trains" in refused(analyze)
    assert not (a_run / "analysis").exists()


def test_a_damaged_checkpoint_is_told(a_run, planted, analyze):
    (a_run / "checkpoints" / checkpoints.name(24) / ".metadata").unlink()
    assert "not whole: run/checkpoints/step-00000024; remove what is damaged" in refused(analyze)
    assert analyze("step=20")


def test_an_imported_run_names_a_set_or_has_its_weights_looked_at(a_run, planted, analyze):
    (a_run / IMPORTED).write_text("from: official\n")
    assert "name a prepared set, set=NAME" in refused(analyze)
    assert analyze("parts=weights")
    assert "| Weights | 20, 24 | none |" in page(a_run)


def test_weights_need_no_data(a_run, planted, analyze, here):
    shutil.rmtree(here / "data")
    assert analyze("parts=weights")
    assert not (here / "data").exists()


def test_a_second_run_is_for_states_alone(a_run, planted, analyze, here):
    shutil.copytree(a_run, here / "other")
    analyze("against=other", "parts=states,weights")
    ((_, _, more),) = planted["states"].calls
    assert (more["against"].folder.name, more["against"].step) == ("other", 24)
    assert planted["weights"].calls[0][2] == {}
    assert "against= is for states, which parts= leaves out" in refused(analyze, "against=other", "parts=weights")


def test_a_second_run_without_states_is_refused(a_run, planted, analyze, here, monkeypatch):
    shutil.copytree(a_run, here / "other")
    refusals = iter(["", "there are none"])
    monkeypatch.setattr(planted["states"], "refusal", lambda recipe: next(refusals, ""))
    assert refused(analyze, "against=other") == "against=other: there are none"


def test_a_second_run_that_nothing_is_compared_with_is_told(a_run, planted, analyze, here):
    shutil.copytree(a_run, here / "other")
    planted["states"].refused = "this has no states"
    said = analyze("against=other", "parts=weights,states").splitlines()
    assert said[:2] == ["states: this has no states", "against=other is left out: states alone takes it"]


def test_a_second_run_reads_the_same_tokens(a_run, planted, analyze, here):
    other = shutil.copytree(a_run, here / "other")
    content = json.loads((other / "tokenizer.json").read_text())
    (other / "tokenizer.json").write_text(json.dumps(content, indent=3))
    assert refused(analyze, "against=other") == (
        "against=other: expected a language model of the same tokenizer, so that both read the same"
    )
    assert "there is no such folder" in refused(analyze, "against=no/where")


def test_images_are_counted_in_images(a_classifier, planted, analyze):
    analyze("images=5")
    assert planted["weights"].calls[0][1].what == "5 validation images of a few glyphs"
    assert refused(analyze, "tokens=5") == (
        "run is a run of resnet50-smoke-polynorm, which classifies images: it has no tokens=; expected images=N"
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("parts=weigths", "parts=weigths: there is no part 'weigths'. Did you mean 'weights'?"),
        ("parts=,", "parts=, names nothing: expected some of weights,states,activations,sparsity"),
        ("part=weights", "analyze has no setting 'part'. Did you mean 'parts'?"),
        ("weights", "'weights' is not key=value, such as parts=weights"),
        ("tokens=0", "tokens=0: expected a number from 1 to 1e+09"),
        ("tokens=many", "tokens=many: expected a number from 1 to 1e+09"),
        ("step=-1", "step=-1: expected a whole number from 0 to "),
        ("images=x", "images=x: expected a whole number from 1 to "),
    ],
)
def test_a_wrong_setting_is_told_in_a_line(a_run, planted, analyze, setting, said):
    assert refused(analyze, setting, kind=RecipeError).startswith(said)


def test_what_is_not_read_is_not_counted(a_run, planted, analyze):
    said = refused(analyze, "parts=weights", "tokens=64")
    assert said == "tokens= is for parts that read something, and parts=weights does not"
    assert "which is a language model: it has no images=; expected tokens=N" in refused(analyze, "images=3")


def test_of_several_devices_the_first_computes(a_run, planted, analyze):
    said = io.StringIO()
    analyze("parts=weights", on="cpu-x2", said=said)
    assert said.getvalue().startswith("machine 'cpu-x2' has 2 devices, of which the first computes this\n")
