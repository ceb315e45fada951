"""Foreign code: what it prints goes to standard error, also where several threads run some."""

from __future__ import annotations

import os
import sys
import threading

from fresco.io.foreign import foreign_code
from tests.waiting import PATIENCE


def say(words):
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def test_code_that_overlaps_in_two_threads_leaves_standard_output_as_it_was(capfd):
    inside, leave = threading.Event(), threading.Event()
    own = sys.stdout

    def first():
        with foreign_code("the first failed"):
            inside.set()
            assert leave.wait(PATIENCE)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(PATIENCE)
    with foreign_code("the second failed"):
        leave.set()
        thread.join(PATIENCE)  # the one that came first leaves first
        say("foreign words")
        os.write(1, b"foreign bytes\n")
    assert sys.stdout is own
    say("our words")
    os.write(1, b"our bytes\n")
    out, err = capfd.readouterr()
    assert out == "our words\nour bytes\n"
    assert sorted(err.splitlines()) == ["foreign bytes", "foreign words"]


def test_code_inside_other_code_is_foreign_to_the_end(capfd):
    with foreign_code("the outer failed"):
        with foreign_code("the inner failed"):
            say("inner")
        say("outer")
    say("ours")
    out, err = capfd.readouterr()
    assert (out, err) == ("ours\n", "inner\nouter\n")
