"""Files under git as revisions: on repositories that the tests make with git itself."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.builder.git import GitSource, parse_spec
from fresco.builder.git.history import glob, sane
from fresco.errors import FrescoError
from fresco.records import format_timestamp, parse_timestamp
from tests.builder.git_repository import Repository

LONG = "A paragraph that stays as it is, so that git sees that the file was only moved to another place.\n" * 5


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "docs")


def dates(source: GitSource, title: str) -> list[str]:
    return [format_timestamp(each.timestamp) for each in source.history(title)]


def texts(source: GitSource, title: str) -> list[str]:
    return [text for _, text in source.texts(source.history(title))]


def test_a_files_history_is_a_page_through_renames_in_any_script(repository: Repository) -> None:
    repository.commit("2024-01-01T00:00:00Z", {"a.md": f"# One\n\n{LONG}first\n"})
    commit = repository.commit("2024-02-01T00:00:00Z", {"a.md": f"# One\n\n{LONG}second\n"})
    repository.git("mv", "a.md", "Übersicht 東京.md")
    repository.commit("2024-03-01T00:00:00Z", {})
    repository.commit("2024-04-01T00:00:00Z", {"Übersicht 東京.md": f"# One\n\n{LONG}third\n"})
    with GitSource(repository.path) as source:
        assert list(source.titles()) == ["One"]
        # The rename itself changed no text, and is no revision.
        assert [text.split()[-1] for text in texts(source, "One")] == ["first", "second", "third"]
        own = source.history("One")[1]
        assert own.revision_id == int(commit[:15], 16) and f"{own.revision_id:015x}" == commit[:15]
        assert own.sha1 == sha1(f"# One\n\n{LONG}second\n".encode(), usedforsecurity=False).hexdigest()
        assert own.markup == "markdown"
        window = source.history("One", parse_timestamp("2024-02-01T00:00:00Z"), parse_timestamp("2024-04-01T00:00:00Z"))
        assert list(window) == [own]


def test_two_files_may_swap_their_names_in_one_commit(repository: Repository) -> None:
    one, two = f"{LONG}red\n", "Quite different words stand here, line by line by line by line.\n" * 6 + "blue\n"
    repository.commit("2024-01-01T00:00:00Z", {"a.txt": one, "b.txt": two})
    for before, after in (("a.txt", "x"), ("b.txt", "a.txt"), ("x", "c.txt")):
        repository.git("mv", before, after)
    repository.commit("2024-02-01T00:00:00Z", {})
    repository.commit("2024-03-01T00:00:00Z", {"a.txt": f"{two}more\n", "c.txt": f"{one}more\n"})
    with GitSource(repository.path) as source:
        assert [text.split()[-1] for text in texts(source, "c")] == ["red", "more"]


def test_a_merge_is_taken_whole_when_it_comes(repository: Repository) -> None:
    repository.commit("2024-01-01T00:00:00Z", {"a.txt": "first\n"})
    repository.git("checkout", "-q", "-b", "side")
    repository.commit("2024-01-02T00:00:00Z", {"a.txt": "half\n"})
    repository.commit("2024-01-03T00:00:00Z", {"a.txt": "second\n", "new.txt": "born on a branch\n"})
    repository.git("checkout", "-q", "main")
    repository.commit("2024-01-04T00:00:00Z", {"other.txt": "x\n"})
    repository.git("merge", "-q", "--no-ff", "-m", "merge", "side", when="2024-01-05T00:00:00Z")
    with GitSource(repository.path) as source:
        assert texts(source, "a") == ["first\n", "second\n"]
        assert dates(source, "a")[1] == dates(source, "new")[0] == "2024-01-05T00:00:00Z"
    with GitSource(repository.path, "side") as source:
        assert texts(source, "a") == ["first\n", "half\n", "second\n"]


def test_wrong_clocks_move_no_other_date(repository: Repository) -> None:
    for when, word in (
        ("2024-01-01T00:00:00Z", "one"),
        ("2099-01-01T00:00:00Z", "two"),
        ("2024-03-01T00:00:00Z", "three"),
        ("1971-01-01T00:00:00Z", "four"),
        ("2024-05-01T00:00:00Z", "five"),
    ):
        repository.commit(when, {"a.txt": f"{word}\n"})
    with GitSource(repository.path) as source:
        # What takes the date of the commit before it is the page at that moment.
        assert texts(source, "a") == ["two\n", "four\n", "five\n"]
        assert dates(source, "a") == ["2024-01-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-05-01T00:00:00Z"]


@given(st.lists(st.integers(0, 30), max_size=12))
def test_sane_times_never_go_back_and_as_few_as_can_be_change(times: list[int]) -> None:
    found = sane(times)
    assert found == sorted(found) and len(found) == len(times)
    best = [1] * len(times)  # the longest run in order that ends at each place: the quadratic way
    for place, time in enumerate(times):
        best[place] = 1 + max((best[each] for each in range(place) if times[each] <= time), default=0)
    assert sum(a == b for a, b in zip(times, found, strict=True)) >= max(best, default=0)


def test_a_file_that_comes_back_is_the_same_page_and_one_that_is_gone_is_none(repository: Repository) -> None:
    repository.commit("2024-01-01T00:00:00Z", {"a.txt": "one\n", "b.txt": "one\n"})
    repository.commit("2024-02-01T00:00:00Z", {"a.txt": None, "b.txt": None, "c.txt": "keeps the tree\n"})
    repository.commit("2024-03-01T00:00:00Z", {"a.txt": "two\n"})
    with GitSource(repository.path) as source:
        assert list(source.titles()) == ["a", "c"]
        assert texts(source, "a") == ["one\n", "two\n"]
        assert not source.history("b")


def test_titles_come_from_front_matter_headings_or_names_and_are_told_apart(repository: Repository) -> None:
    repository.commit(
        "2024-01-01T00:00:00Z",
        {
            "a.md": "---\ntitle: 'Struts: the framework'\n---\ntext",
            "b.md": '+++\ntitle = "Toml"\n+++\ntext',
            "c.md": "text\n\n# A *heading* [link](x)\n",
            "d.md": "no heading",
            "x/same.txt": "x",
            "y/same.txt": "y",
        },
    )
    with GitSource(repository.path) as source:
        assert list(source.titles()) == sorted(
            ["Struts: the framework", "Toml", "A heading link", "d", "same (x/same.txt)", "same (y/same.txt)"]
        )


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("docs/**/*.md", "docs/a.md", True),
        ("docs/**/*.md", "docs/x/y/a.md", True),
        ("docs/*.md", "docs/x/a.md", False),
        ("**/a?.md", "x/ab.md", True),
        ("*.md", "amd", False),
        ("docs/**", "docs/x/y", True),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    assert (glob(pattern).fullmatch(path) is not None) == matches


def test_what_is_no_text_is_left_out_and_told(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fresco.builder.git.source.MOST_BYTES", 1000)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    repository.commit(
        "2024-01-01T00:00:00Z",
        {"good.txt": "fine\n", "lfs.txt": pointer, "bin.txt": b"a\0b", "latin.txt": b"caf\xe9", "big.txt": "x" * 1001},
    )
    (repository.path / "link.txt").symlink_to("good.txt")
    repository.commit("2024-01-02T00:00:00Z", {})
    with GitSource(repository.path) as source:
        assert list(source.titles()) == ["good"]
        reasons = {problem.title: problem.reason.value for problem in source.report}
    assert reasons == {
        "lfs.txt": "Git LFS pointer",
        "bin.txt": "no text",
        "latin.txt": "no text",
        "big.txt": "too large",
        "link.txt": "symbolic link",
    }


def refusal(*arguments: object) -> str:
    with pytest.raises(FrescoError) as error:
        GitSource(*arguments)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_read_is_one_line(repository: Repository, tmp_path: Path) -> None:
    assert "there is no such folder" in refusal(tmp_path / "none")
    (tmp_path / "plain").mkdir()
    assert "is no git repository" in refusal(tmp_path / "plain")
    assert "has no commit yet" in refusal(repository.path)
    repository.commit("2024-01-01T00:00:00Z", {"docs/a.md": "# A\n"})
    repository.commit("2024-02-02T00:00:00Z", {"docs/a.md": "# B\n"})
    assert "within a git repository" in refusal(repository.path / "docs")
    assert "no branch, tag or commit 'dev'" in refusal(repository.path, "dev")
    assert "none of its 1 files is named *.rst" in refusal(repository.path, None, ["*.rst"])
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.path}", str(tmp_path / "shallow"))
    found = refusal(tmp_path / "shallow")
    assert "shallow clone that lacks everything before 2024-02-02" in found and "fetch --unshallow" in found


def test_a_repository_of_nothing_but_pointers_or_submodules_says_so(repository: Repository, tmp_path: Path) -> None:
    repository.commit("2024-01-01T00:00:00Z", {"a.md": "version https://git-lfs.github.com/spec/v1\noid x\n"})
    assert refusal(repository.path).endswith("no file can be read as text: 1 Git LFS pointer")
    outer = Repository(tmp_path / "outer")
    outer.git("submodule", "add", "-q", str(repository.path), "sub.md")
    outer.commit("2024-01-01T00:00:00Z", {})
    assert refusal(outer.path, None, ["sub.md"]).endswith("no file can be read as text: 1 submodule")


def test_specs(tmp_path: Path) -> None:
    (tmp_path / "a@b").mkdir()
    assert parse_spec(f"git:{tmp_path}/a@b") == (tmp_path / "a@b", None)
    assert parse_spec(f"git:{tmp_path}/a@b@main") == (tmp_path / "a@b", "main")
