"""Files written whole: what may be replaced, what is followed, and what is left when anything fails."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from fresco.errors import FrescoError
from fresco.io import files
from fresco.io.files import fresh_folder, publish, recover, replacing, write_atomically
from tests.waiting import PATIENCE


def test_a_link_is_written_through_and_stays(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one").symlink_to("../two")
    (tmp_path / "two").symlink_to("real")
    write_atomically(tmp_path / "deep" / "one", "new")
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "deep" / "one").is_symlink() and (tmp_path / "two").is_symlink()


def test_a_link_to_nothing_makes_what_it_points_to(tmp_path):
    (tmp_path / "link").symlink_to("later")
    write_atomically(tmp_path / "link", "x")
    assert (tmp_path / "later").read_text() == "x"


def test_a_loop_of_links_is_one_line(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FrescoError, match="cannot be written"):
        write_atomically(tmp_path / "a", "x")


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, "through")
    reader.join(PATIENCE)
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_device_is_never_replaced(tmp_path):
    before = Path("/dev/full").stat()
    with pytest.raises(FrescoError, match="No space left on device"):
        write_atomically(Path("/dev/full"), "x")
    (tmp_path / "link").symlink_to("/dev/full")
    with pytest.raises(FrescoError, match="No space left on device"):
        write_atomically(tmp_path / "link", "x")
    assert (before.st_rdev, before.st_ino) == (Path("/dev/full").stat().st_rdev, Path("/dev/full").stat().st_ino)
    write_atomically(Path("/dev/null"), "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(FrescoError, match="Is a directory"):
        write_atomically(tmp_path / "folder", "x")


def test_planted_temporary_files_are_not_followed(tmp_path, monkeypatch):
    """Even one that knows the random part: O_EXCL and O_NOFOLLOW hold."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".out.tmp").symlink_to(victim)
    names = iter(["00" * 8, "11" * 8])
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: next(names))
    monkeypatch.setattr(files, "_clear", lambda *_: None)
    (tmp_path / f".out.{'00' * 8}.tmp").symlink_to(victim)
    with pytest.raises(FrescoError, match="File exists"):
        write_atomically(tmp_path / "out", "x")
    assert victim.read_text() == "precious"
    write_atomically(tmp_path / "out", "x")
    assert victim.read_text() == "precious" and (tmp_path / "out").read_text() == "x"


def test_permissions_stay(tmp_path):
    (tmp_path / "f").write_text("old")
    (tmp_path / "f").chmod(0o640)
    write_atomically(tmp_path / "f", "new")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("call", "fault"),
    [("write", errno.ENOSPC), ("write", errno.EIO), ("fsync", errno.EIO), ("fsync", errno.EDQUOT)],
)
def test_faults_below_leave_the_old_content_and_nothing_else(tmp_path, monkeypatch, call, fault):
    (tmp_path / "f").write_text("old")
    real, calls = getattr(os, call), []

    def fails(*arguments):
        calls.append(arguments)
        if call == "write" and len(calls) == 1:
            return real(arguments[0], bytes(arguments[1])[:3])  # a short write first
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(FrescoError, match=os.strerror(fault)):
        write_atomically(tmp_path / "f", "something new")
    monkeypatch.undo()
    assert calls
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"f": "old"}


def test_short_writes_are_gone_on_with(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:1]))
    write_atomically(tmp_path / "f", "all of it")
    assert (tmp_path / "f").read_text() == "all of it"


def test_file_and_folder_are_synced_in_order(tmp_path, monkeypatch):
    """A rename is on disk when its folder is; the content must be there before."""
    told = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (told.append("dir" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"), real_fsync(fd))
    )
    monkeypatch.setattr(Path, "replace", lambda self, to: (told.append("rename"), real_replace(self, to))[1])
    write_atomically(tmp_path / "f", "x")
    assert told == ["file", "rename", "dir"]


def test_what_a_killed_writer_left_is_cleared_and_what_a_living_one_writes_is_not(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from fresco.io import files\n"
        "files.os.fsync = lambda fd: (print('there', flush=True), sys.stdin.readline())\n"
        "files.write_atomically(Path(sys.argv[1]), 'by the other')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "f")]
    killed = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    living = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert killed.stdout and living.stdout and living.stdin
    killed.stdout.readline(), living.stdout.readline()
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    write_atomically(tmp_path / "f", "by us")
    assert (tmp_path / "f").read_text() == "by us"
    assert len(list(tmp_path.iterdir())) == 2  # ours, and the living one's temporary file
    living.communicate(b"\n\n\n")
    assert living.returncode == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"f": "by the other"}


def test_a_stream_takes_the_files_place_or_leaves_no_trace(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "f").symlink_to("real")
    leftover = tmp_path / f".real.{'ab' * 8}.tmp"
    leftover.write_text("of a killed process")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "f") as stream:
        stream.write(b"half")
        raise KeyboardInterrupt
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"real": "old", "f": "old"}
    with replacing(tmp_path / "f") as stream:
        stream.write(b"whole")
        assert (tmp_path / "real").read_text() == "old"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"real": "whole", "f": "whole"}
    assert (tmp_path / "f").is_symlink()


def test_a_stream_does_not_replace_a_device(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"), replacing(tmp_path / "pipe"):
        pass
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_folder_takes_anothers_place(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("x")
    for content in ("old", "new"):
        (tmp_path / f".best.{'ab' * 8}.tmp").symlink_to(victim)  # planted, or left by a killed process
        fresh = fresh_folder(tmp_path / "best")
        assert list(fresh.iterdir()) == []
        (fresh / "model").write_text(content)
        publish(fresh, tmp_path / "best")
    assert (tmp_path / "best" / "model").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "victim"]
    assert (victim / "precious").exists()


class Died(BaseException):
    """Stands for SIGKILL: nothing of the process that meets it runs any more."""


@pytest.mark.parametrize("at", range(5))
def test_a_folder_is_whole_wherever_its_publisher_was_killed(at, tmp_path, monkeypatch):
    """Killed before its n-th operation, the target is the old folder or, after a recovery, the new one."""
    best = tmp_path / "best"
    (best / "sub").mkdir(parents=True)
    (best / "model").write_text("old")
    fresh = fresh_folder(best)
    (fresh / "model").write_text("new")
    done = 0

    def dying(own):
        def call(*arguments, **options):
            nonlocal done
            if done == at:
                raise Died
            done += 1
            return own(*arguments, **options)

        return call

    with monkeypatch.context() as patch, suppress(Died):
        patch.setattr(Path, "rename", dying(Path.rename))
        patch.setattr(files.shutil, "rmtree", dying(files.shutil.rmtree))
        publish(fresh, best)
    assert done == min(at, 4)
    recover(best)
    assert (best / "model").read_text() == ("old" if at == 0 else "new")
    again = fresh_folder(best)
    (again / "model").write_text("newer")
    publish(again, best)
    assert (best / "model").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_nothing_planted_is_recovered(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / f".best.{'ab' * 8}.ready").symlink_to(victim)
    (tmp_path / f".best.{'cd' * 8}.ready").write_text("no folder")
    recover(tmp_path / "best")
    recover(tmp_path / "nowhere" / "best")
    assert not (tmp_path / "best").exists()


def test_a_folders_name_cannot_be_taken_before(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.mkdir()
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "00" * 8)
    monkeypatch.setattr(files, "_leftovers", lambda *_: [])
    (tmp_path / f".best.{'00' * 8}.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        fresh_folder(tmp_path / "best")
    assert list(victim.iterdir()) == []


def test_no_temporary_name_can_be_foreseen():
    """Names that end in .tmp are made in one place, which draws them."""
    root = Path(__file__).parents[2]
    found = [
        str(path.relative_to(root))
        for package in ("fresco", "ccs", "eval", "data")
        for path in (root / package).rglob("*.py")
        if ".tmp" in path.read_text(encoding="utf-8")
    ]
    assert found == ["fresco/io/files.py"]
