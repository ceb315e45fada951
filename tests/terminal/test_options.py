from __future__ import annotations

import pytest

from fresco.models.settings import Settings
from fresco.terminal.arguments import count, number_in, positive, seconds
from fresco.terminal.options import add_models, add_seed, model_settings
from fresco.terminal.parser import Parser


def test_the_model_options_become_settings():
    parser = Parser(prog="p")
    add_models(parser)
    add_seed(parser, "draws")
    line = "--device cpu --dtype bfloat16 --max-length 64 --batch-tokens 9 --seed 3"
    assert model_settings(parser.parse_args(line.split())) == Settings("cpu", "bfloat16", 64, 9, 3)
    assert model_settings(parser.parse_args([])) == Settings()


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (positive, ["1", "7"], ["0", "-1", "x", "1.5"]),
        (count, ["0", "7"], ["-1", "x"]),
        (seconds, ["0.5", "3"], ["0", "-1", "inf", "nan"]),
        (number_in(0, 2), ["0", "2"], ["-0.1", "2.1", "nan"]),
        (number_in(0, 1000, above=True), ["0.1", "1000"], ["0", "1001", "inf"]),
    ],
)
def test_kinds_of_arguments(kind, good, bad, capsys):
    parser = Parser(prog="p")
    parser.add_argument("--number", type=kind)
    for text in good:
        assert parser.parse_args([f"--number={text}"]).number == float(text)
    for text in bad:
        with pytest.raises(SystemExit):
            parser.parse_args([f"--number={text}"])
        said = capsys.readouterr().err
        assert "--number" in said
        assert len(said.splitlines()) == 1
