"""fresco in a notebook: a real kernel, with a class and a function that exist in its ``__main__`` alone."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[test]'")
nbclient = pytest.importorskip("nbclient", reason="pip install -e '.[test]'")
pytest.importorskip("ipykernel", reason="pip install -e '.[test]'")

CELLS = (
    """
import fresco

class Oldest:
    name = "oldest & <first>"
    takes_instruction = False

    def score(self, query, passages, instruction=None):
        return [-passage.timestamp.timestamp() for passage in passages]

def overlap(query, passages):
    words = set(query.lower().split())
    return [len(words & set(passage.lower().split())) for passage in passages]
""",
    "fresco.score(overlap, limit=30, resamples=20)",
    "result = fresco.score([Oldest(), Oldest, overlap][1:], limit=30, resamples=20, progress=False)\nresult",
    "result.plot()",
    """
def overlap(query, passages):
    return [0.0 for passage in passages]

again = fresco.score(overlap, limit=30, resamples=20, progress=False, baselines=False)
print(any("same score in" in warning for warning in again.warnings))
""",
    "fresco.score(lambda query, passages: [1.0], limit=30, progress=False)",
)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The notebook's cells after it ran, with their outputs."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in CELLS])
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "FRESCO_STORE": str(folder / "scores.sqlite"),
        "IPYTHONDIR": str(folder),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }
    client = nbclient.NotebookClient(notebook, timeout=int(PATIENCE), kernel_name="python3", allow_errors=True)
    client.execute(env=environment)
    if kept := os.environ.get("FRESCO_KEEP_NOTEBOOK"):  # to look at it
        nbformat.write(notebook, kept)
    return notebook.cells


def shown(cell, kind):
    return [output.data[kind] for output in cell.outputs if kind in output.get("data", {})]


def errors_of(cell):
    return [output for output in cell.outputs if output.output_type == "error"]


def test_a_function_of_the_notebook_gives_a_table(cells):
    assert not errors_of(cells[0])
    assert not errors_of(cells[1])
    (page,) = shown(cells[1], "text/html")
    assert 'class="fresco-result"' in page
    for name in ("overlap", "bm25", "latest", "half-life:bm25,365"):
        assert f"<th>{name}</th>" in page
    assert "re-ranker" in shown(cells[1], "text/plain")[-1]


def test_a_class_of_the_notebook_does_too_and_its_name_is_escaped(cells):
    assert not errors_of(cells[2])
    (page,) = shown(cells[2], "text/html")
    assert "<th>oldest &amp; &lt;first&gt;</th>" in page


def test_progress_is_one_output_that_ends_with_the_last_count(cells):
    progress, table = cells[1].outputs
    assert progress.output_type == "display_data"
    lines = progress.data["text/plain"].splitlines()
    assert [line.split()[0] for line in lines] == [
        "random",
        "newest",
        "bm25",
        "latest",
        "half-life:bm25,365",
        "overlap",
    ]
    done, total = lines[-1].split("pairs")[0].split()[-1].split("/")
    assert done == total
    assert "\x1b" not in table.data["text/plain"]
    assert len(cells[2].outputs) == 1


def test_a_plot_is_a_picture(cells):
    assert not errors_of(cells[3])
    (picture,) = shown(cells[3], "image/png")
    assert base64.b64decode(picture).startswith(b"\x89PNG")


def test_a_function_that_was_written_anew_is_scored_anew(cells):
    assert not errors_of(cells[4])
    (output,) = cells[4].outputs
    assert output.text == "True\n"


def test_an_error_says_how_to_mend_it(cells):
    (error,) = errors_of(cells[5])
    assert error.ename == "FrescoError"
    assert "it must return one for each, in order" in error.evalue
