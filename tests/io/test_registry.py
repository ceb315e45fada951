"""One registry for every kind of part: built-in files, installed packages, classes and files of the user's own."""

from __future__ import annotations

import sys

import pytest

from fresco.errors import FrescoError
from fresco.io.call_arguments import read_arguments
from fresco.io.registry import Registry


class Shape:
    def __init__(self, *given, **named):
        self.given, self.named, self.area = given, named, 1.0


OWN = """
class Square:
    def __init__(self, side, *, name="square", scale=1):
        self.side, self.name, self.area, self.scale = side, name, 1.0, scale

class Bare:
    pass

def fails(how="SystemExit(0)"):
    raise {"SystemExit(0)": SystemExit(0), "text": ValueError("two\\nlines"), "mute": Mute()}[how]

class Mute(BaseException):
    def __str__(self):
        raise RuntimeError

ready = Square(7)
number = 3
print("a plug-in that speaks at import")
"""


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """A registry over a package in a temporary folder."""
    package = tmp_path / "shape_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "circles.py").write_text(
        "from tests.io.test_registry import KINDS, Shape\n"
        "@KINDS['shapes'].register('circle[:RADIUS]', 'a circle')\n"
        "def make(arguments, scale):\n    return Shape(arguments, scale)\n"
    )
    (package / "dots.py").write_text(
        "from tests.io.test_registry import KINDS, Shape\n"
        "KINDS['shapes'].register('dot', 'a dot')(lambda arguments: Shape())\n"
        "KINDS['shapes'].register('ring:WIDTH', 'a ring', example='3')(lambda arguments: Shape(arguments))\n"
    )
    (package / "untouched.py").write_text("raise RuntimeError('it registers nothing, so nobody imports it')\n")
    (tmp_path / "own_shapes.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    KINDS["shapes"] = Registry(
        "shape", flag="--shape", package="shape_package", group="fresco.shapes", members=("area",)
    )
    yield KINDS["shapes"]
    for name in [name for name in sys.modules if name.startswith(("shape_package", "own_shapes", "fresco_file_"))]:
        del sys.modules[name]


KINDS: dict[str, Registry[Shape]] = {}


def test_a_file_in_the_package_registers_itself(shapes, tmp_path):
    assert list(shapes.parts()) == ["circle", "dot", "ring"]
    assert shapes.open("circle:2", scale=5).given == ("2", 5)
    assert shapes.open("circle", scale=5).given == ("", 5)
    assert shapes.open("dot", scale=5).given == ()


def test_a_broken_file_takes_no_other_part_down(shapes, tmp_path):
    (tmp_path / "shape_package" / "broken.py").write_text("import a_missing_extra\n# would call .register(\n")
    (tmp_path / "shape_package" / "twin.py").write_text(
        "from tests.io.test_registry import KINDS\nKINDS['shapes'].register('dot', 'again')(lambda arguments: 1)\n"
    )
    assert shapes.open("dot").area == 1.0
    assert "No module named 'a_missing_extra'" in shapes.broken["shape_package.broken"]
    assert "two files register the shape 'dot': shape_package.dots and shape_package.twin" in str(shapes.broken)
    with pytest.raises(FrescoError, match=r"unknown.*a_missing_extra"):
        shapes.open("dott")


@pytest.mark.parametrize("named", ["folder", "file"])
def test_files_named_in_the_environment_register_too(shapes, tmp_path, monkeypatch, named):
    added = tmp_path / "added"
    added.mkdir()
    (added / "lines.py").write_text(
        "from tests.io.test_registry import KINDS, Shape\n"
        "KINDS['shapes'].register('line', 'a line')(lambda arguments: Shape('line'))\n"
    )
    monkeypatch.setenv("FRESCO_PARTS", str(added if named == "folder" else added / "lines.py"))
    assert shapes.open("line").given == ("line",)


def test_a_missing_folder_in_the_environment_is_named(shapes, monkeypatch):
    monkeypatch.setenv("FRESCO_PARTS", "nowhere")
    for _ in range(2):  # the second time, too
        with pytest.raises(FrescoError, match="FRESCO_PARTS: there is no file or folder nowhere"):
            shapes.open("dot")


@pytest.mark.parametrize("source", ["own_shapes", "./own_shapes.py"])
def test_own_classes_take_arguments(shapes, source):
    made = shapes.open(f"{source}:Square,2,name='a, b'", scale=9)
    assert (made.side, made.name, made.scale) == (2, "a, b", 9)
    assert shapes.open(f"{source}:Square,2,scale=4", scale=9).scale == 4
    assert shapes.open(f"{source}:ready").side == 7


def test_what_a_plug_in_prints_is_no_output_of_ours(shapes, capfd):
    shapes.open("own_shapes:ready")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "a plug-in that speaks at import\n")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("dot:3", "dot takes nothing after its name; write just dot"),
        ("ring", "write ring:WIDTH, as in ring:3"),
        ("rng", "unknown; did you mean ring?"),
        ("own_shapes:Nothing", "module own_shapes has no Nothing"),
        ("./own_shapes.py:Nothing", "./own_shapes.py has no Nothing"),
        ("./other.py:Square", "there is no file ./other.py"),
        ("nowhere_at_all:Square", "no module named nowhere_at_all"),
        ("own_shapes:Square", "missing 1 required positional argument: 'side'; it takes (side, *, name='square'"),
        ("own_shapes:Square,1,2", "takes 2 positional arguments but 3 were given"),
        ("own_shapes:Square,side=1,2", "2 stands behind an argument with a name"),
        ("own_shapes:Square,side=1,side=2", "side is given twice"),
        ("own_shapes:Square,'a", "' in \"'a\" is not closed"),
        ("own_shapes:Square,1,", "an argument is empty"),
        ("own_shapes:Bare", "it lacks area; a shape has area"),
        ("own_shapes:number", "3 is no class"),
        ("own_shapes:fails", "making it failed: SystemExit: 0"),
        ("own_shapes:fails,text", "making it failed: ValueError: two lines"),
        ("own_shapes:fails,mute", "making it failed: Mute: (its message cannot be read)"),
    ],
)
def test_bad_specs_get_one_line_that_names_flag_and_spec(shapes, spec, said):
    with pytest.raises(FrescoError) as caught:
        shapes.open(spec)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"--shape {spec}: ")
    assert "\n" not in str(caught.value)


def test_ctrl_c_in_a_plug_in_stays_ctrl_c(shapes, tmp_path):
    (tmp_path / "own_shapes.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        shapes.open("own_shapes:Square")


@pytest.mark.parametrize(
    ("text", "arguments", "keywords"),
    [
        ("", [], {}),
        ("2,x", [2, "x"], {}),
        ("1e-3, True ,None,-2", [0.001, True, None, -2], {}),
        ("name=x,other='2'", [], {"name": "x", "other": "2"}),
        ("\"it's, here\",it's", ["it's, here", "it's"], {}),
        ("[1, 2],{'a': (3, 4)}", [[1, 2], {"a": (3, 4)}], {}),
        ("url=http://h:1/p?a=b", [], {"url": "http://h:1/p?a=b"}),
        ("http://h/?a=b", ["http://h/?a=b"], {}),
        ("007,__import__('os')", ["007", "__import__('os')"], {}),
        ("name=", [], {"name": ""}),
    ],
)
def test_arguments_are_read_never_run(text, arguments, keywords):
    assert read_arguments("--shape", text) == (arguments, keywords)
