"""Each kind of masker: what it finds, and what it says to bad input."""

from __future__ import annotations

import builtins
import gzip
import json
import lzma
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs.rewards.mask import Masker, open_masker
from ccs.rewards.mask.base import tag_of
from ccs.rewards.mask.gazetteer import Gazetteer
from ccs.rewards.mask.merge import merge
from ccs.rewards.mask.patterns import Patterns
from ccs.rewards.mask.words import CommonWords, Words
from fresco.errors import FrescoError

_PLAIN = "a and the who is was in of book film president club won head free guy well known i on s"
COMMON = CommonWords(_PLAIN.split())


def found(masker: Masker, text: str) -> list[tuple[str, str]]:
    return [(text[span.start : span.end], span.tag) for span in merge(text, masker.spans([text])[0])]


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("in 1987", "DATE"),
        ("on 3 March 1987", "DATE"),
        ("on March 3rd, 1987", "DATE"),
        ("in may 2023", "DATE"),
        ("on 2023-05-01", "DATE"),
        ("in the 1990s", "DATE"),
        ("in 44 BC", "DATE"),
        ("in the nineteenth century", "DATE"),
        ("on friday", "DATE"),
        ("in 1914-1918", "DATE"),
        ("the 3rd", "NUMBER"),
        ("won twenty-three", "NUMBER"),
        ("won $5.2 million", "NUMBER"),
        ("won 45%", "NUMBER"),
        ("won 3,000", "NUMBER"),
        ('the "head of the club"', "QUOTE"),
        ("the “head of the club”", "QUOTE"),
        ("the 'free guy'", "QUOTE"),
        ("is Barack Obama", "MISC"),
        ("the University of Michigan", "MISC"),
        ("who is Franklin D. Roosevelt", "MISC"),
        ("the U.S. president", "MISC"),
        ("Obama", "MISC"),
        ("WHO IS OBAMA PRESIDENT", "MISC"),
        ("Who Is Obama President In The Book", "MISC"),
    ],
)
def test_patterns_find(text, tag):
    assert [kind for _, kind in found(Patterns(COMMON), text)] == [tag]


@pytest.mark.parametrize("text", ["who won the book", "Who is the president", "i won", "The president's club", "", " "])
def test_patterns_leave_plain_words(text):
    assert found(Patterns(COMMON), text) == []


def test_patterns_do_not_join_two_names():
    assert found(Patterns(COMMON), "is Ann Lee and Bo Lee in France") == [
        ("Ann Lee", "MISC"),
        ("Bo Lee", "MISC"),
        ("France", "MISC"),
    ]


def test_words_mask_what_is_not_common():
    assert found(Words(COMMON), "who is ludwig van beethoven's well-known book") == [("ludwig van beethoven", "MISC")]
    assert found(Words(COMMON), "van gogh 1890 李小龙") == [("van gogh", "MISC"), ("李小龙", "MISC")]


def test_gazetteer_takes_the_longest_title_in_any_case():
    gazetteer = Gazetteer(["Free Guy (film)", "The Free Guy Club", "Head", "Xi", "1984", "The"], COMMON)
    assert found(gazetteer, "the free guy club") == [("the free guy club", "MISC")]
    assert found(gazetteer, "who won FREE GUY") == [("FREE GUY", "MISC")]
    assert found(gazetteer, "head of xi") == [("xi", "MISC")]
    assert found(gazetteer, "film Head in 1984") == [("Head", "MISC")]


@given(
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4), max_size=6), st.lists(st.sampled_from("abcd"))
)
def test_gazetteer_equals_a_plain_search(titles, text):
    titles = [title for title in titles if len(title) > 1]
    gazetteer = Gazetteer([" ".join(title) for title in titles], CommonWords(()))
    expected, at = [], 0
    while at < len(text):
        longest = max((len(title) for title in titles if text[at : at + len(title)] == title), default=0)
        if longest:
            expected.append((2 * at, 2 * (at + longest) - 1))
        at += longest or 1
    assert [(span.start, span.end) for span in gazetteer.spans([" ".join(text)])[0]] == expected


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_gazetteer_files(tmp_path, suffix):
    path = tmp_path / f"corpus+1.jsonl{suffix}"
    rows = [{"id": "1", "title": "Ann Lee", "text": "x"}, {"id": "2", "contents": '"Bo Lee"\nx'}]
    text = "".join(json.dumps(row) + "\n" for row in rows) + "\nCy Lee\n"
    {"": open, ".gz": gzip.open, ".xz": lzma.open}[suffix](path, "wt", encoding="utf-8").write(text)
    masker = open_masker(f"gazetteer:{path}+patterns")
    assert [name for name, _ in found(masker, "ann lee or bo lee or cy lee in 1987")] == [
        "ann lee",
        "bo lee",
        "cy lee",
        "1987",
    ]
    assert masker.name == f"gazetteer:{path}+patterns"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no title"),
        (b'{"id": 1}\n', "line 1: neither `title` nor `contents`"),
        (b'x\n{"title": \n', "line 2: no valid JSON"),
        (b"\xff\xfe", "no UTF-8"),
    ],
)
def test_bad_gazetteers(tmp_path, content, message):
    path = tmp_path / "titles"
    path.write_bytes(content)
    with pytest.raises(FrescoError, match=message):
        open_masker(f"gazetteer:{path}")
    (tmp_path / "cut.xz").write_bytes(lzma.compress(b"Ann Lee\n" * 99)[:40])
    with pytest.raises(FrescoError, match="cannot be read"):
        open_masker(f"gazetteer:{tmp_path / 'cut.xz'}")


@pytest.mark.parametrize(
    "spec", ["", "nothing", "spacy:", "embedded:x", "embedded+", "+patterns", "hf", "patterns+other:x"]
)
def test_unknown_specs(spec):
    with pytest.raises(FrescoError, match=r"^mask\.masker .*(unknown; |is empty|write |takes nothing|no module)"):
        open_masker(spec)


@pytest.mark.parametrize(
    ("label", "tag"),
    [
        ("B-PER", "PERSON"),
        ("I-LOC", "LOC"),
        ("GPE", "LOC"),
        ("WORK_OF_ART", "WORK"),
        ("CARDINAL", "NUMBER"),
        ("LABEL_7", "MISC"),
        ("B-", "MISC"),
    ],
)
def test_labels_of_libraries(label, tag):
    assert tag_of(label) == tag


def test_without_spacy(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "spacy":
            raise ImportError("No module named 'spacy'", name="spacy")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "spacy", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FrescoError, match=r"needs spaCy: pip install 'fresco-ccs\[ccs\]'"):
        open_masker("embedded")
    assert open_masker("patterns+words").spans(["Obama"])  # need none


def test_spacy_pipelines(tmp_path):
    spacy = pytest.importorskip("spacy", reason="pip install 'fresco-ccs[ccs]'")
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "blank")
    with pytest.raises(FrescoError, match="no pipe of it recognizes entities"):
        open_masker(f"spacy:{tmp_path / 'blank'}")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "GPE", "pattern": "Paris"}])
    nlp.to_disk(tmp_path / "ruler")
    masker = open_masker(f"spacy:{tmp_path / 'ruler'}")
    assert found(masker, "mayor of Paris") == [("Paris", "LOC")]
    assert masker.spans([]) == [] and masker.spans([""]) == [[]]
    before = masker.fingerprint
    nlp.get_pipe("entity_ruler").add_patterns([{"label": "GPE", "pattern": "Bonn"}])
    nlp.to_disk(tmp_path / "ruler")
    assert open_masker(f"spacy:{tmp_path / 'ruler'}").fingerprint != before
    (tmp_path / "empty").mkdir()
    for bad, message in (("empty", "cannot be loaded"), ("nowhere", "there is no folder")):
        with pytest.raises(FrescoError, match=message) as caught:
            open_masker(f"spacy:{tmp_path / bad}")
        assert "\n" not in str(caught.value)
    with pytest.raises(FrescoError, match="python -m spacy download en_no_such_model"):
        open_masker("spacy:en_no_such_model")
