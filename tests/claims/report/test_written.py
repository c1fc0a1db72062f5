import errno
import re
from pathlib import Path

import pytest

from repro.claims.report import written
from repro.claims.report.blocks import Figure, Figures, Page, Text
from repro.claims.report.looks import looks
from repro.claims.report.svg import Series, lines
from repro.errors import ReproError


def page(*names, words="words"):
    look = looks(["a"])["a"]
    svg = lines([Series("a", (1.0, 2.0), (3.0, 4.0), look)], title="t", x_label="x", y_label="y", alt="alt")
    return Page("Title", (Text(words), Figures(tuple(Figure(name, svg, "alt", "caption") for name in names))), "made")


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_html_markdown_and_figures_are_written(tmp_path):
    assert written.write(page("one"), tmp_path / "out") == tmp_path / "out" / "index.html"
    assert everything(tmp_path / "out").keys() == {"index.html", "README.md", "figures/one.svg"}
    assert "![alt](figures/one.svg)" in (tmp_path / "out" / "README.md").read_text()


def test_figures_that_the_new_page_lacks_go_and_those_of_others_stay(tmp_path):
    written.write(page("one", "two"), tmp_path)
    (tmp_path / "figures" / "mine.svg").write_text("<svg/>")
    written.write(page("two"), tmp_path)
    assert everything(tmp_path).keys() == {"index.html", "README.md", "figures/two.svg", "figures/mine.svg"}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_full_disk_or_ctrl_c_leaves_the_page_that_was_there(tmp_path, monkeypatch, error, after):
    written.write(page("one", "two", words="before"), tmp_path)
    before, put, count = everything(tmp_path), written._put, iter(range(10))

    def full(path, content):
        if next(count) == after:
            path.write_text(content[:10])
            raise error
        put(path, content)

    monkeypatch.setattr(written, "_put", full)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ReproError) as raised:
        written.write(page("one", "three", words="after"), tmp_path)
    assert everything(tmp_path) == before
    if isinstance(error, OSError):
        assert (
            str(raised.value) == f"{tmp_path} cannot be written (No space left on device); what was there is as it was"
        )


@pytest.mark.parametrize("name", ["README.md", "index.html"])
def test_a_page_that_no_report_wrote_is_not_written_over(tmp_path, name):
    (tmp_path / name).write_text("# Mine\n")
    with pytest.raises(ReproError, match=re.escape(f"{name} was written by no report; name another folder with --out")):
        written.write(page("one"), tmp_path)
    assert everything(tmp_path) == {name: b"# Mine\n"}


def test_a_file_where_the_folder_should_be_is_told(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ReproError, match="is a file, and a folder is written there"):
        written.write(page("one"), tmp_path / "out")


def test_the_template_lies_in_the_package():
    assert (Path(written.__file__).parent / "page.html.j2").is_file()
