"""Questions to one git repository through its own command, without a checkout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from fresco.errors import FrescoError

_READ = 1 << 16


class Repository:
    """A repository on disk, bare or not.

    Args:
        path: Its folder.

    Raises:
        FrescoError: git is not installed, there is no repository, or it is a shallow clone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise FrescoError(f"git:{path}: there is no such folder; give the folder of a git repository")
        # The folder itself, or its .git: not a repository that happens to lie somewhere above it.
        inside = path / ".git" if (path / ".git").exists() else path
        self._environment = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # as in a hook of another repository
            self._environment.pop(name, None)
        self._command = ["git", "-C", str(path)]
        try:
            self.ask("--git-dir", str(inside.resolve()), "rev-parse", "--git-dir")
        except FrescoError:
            if (self._try("rev-parse", "--git-dir") or b"").strip():
                raise FrescoError(
                    f"git:{path}: is a folder within a git repository; give the repository's own folder, "
                    "and --include for a part of it"
                ) from None
            raise FrescoError(f"git:{path}: is no git repository") from None
        if self.ask("rev-parse", "--is-shallow-repository") == "true":
            first = self.ask("log", "--reverse", "--format=%cs", "HEAD").partition("\n")[0]
            raise FrescoError(
                f"git:{path}: is a shallow clone that lacks everything before {first}; git -C {path} fetch --unshallow"
            )

    def ask(self, *arguments: str) -> str:
        """The answer of one command, without white space around it.

        Raises:
            FrescoError: git refuses.
        """
        done = self._run(arguments)
        if done.returncode:
            words = " ".join(done.stderr.decode("utf-8", "replace").split())
            raise FrescoError(f"git:{self.path}: git {arguments[0]} failed: {words[:300]}")
        return done.stdout.decode("utf-8", "replace").strip()

    def _try(self, *arguments: str) -> bytes | None:
        done = self._run(arguments)
        return None if done.returncode else done.stdout

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run([*self._command, *arguments], capture_output=True, env=self._environment, check=False)  # noqa: S603
        except OSError as error:
            raise FrescoError(f"git:{self.path}: git cannot be run: {error.strerror}; install git") from error

    def commit(self, name: str | None) -> str:
        """The commit, as 40 or 64 hex digits, of a branch, a tag or an abbreviation; of HEAD where None.

        Raises:
            FrescoError: there is none.
        """
        found = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name or 'HEAD'}^{{commit}}")
        if not found:
            what = f"no branch, tag or commit {name!r}" if name else "no commit yet"
            raise FrescoError(f"git:{self.path}: has {what}")
        return found.decode().strip()

    def stream(self, *arguments: str) -> Iterator[bytes]:
        """The fields of a command's answer, cut at NUL, as they come.

        Raises:
            FrescoError: git fails on the way.
        """
        with subprocess.Popen(  # noqa: S603
            [*self._command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self._environment
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            rest = b""
            while part := process.stdout.read(_READ):
                *fields, rest = (rest + part).split(b"\0")
                yield from fields
            if rest:
                yield rest
            words = " ".join(process.stderr.read().decode("utf-8", "replace").split())
        if process.returncode:
            raise FrescoError(f"git:{self.path}: git {arguments[0]} failed: {words[:300]}")

    def objects(self) -> Objects:
        """A reader of objects, to be closed."""
        return Objects(self.path, [*self._command, "cat-file"], self._environment)


class Objects:
    """Contents of objects by their ids, through one process for sizes and one for contents."""

    def __init__(self, path: Path, command: Sequence[str], environment: dict[str, str]) -> None:
        self._path = path
        self._sizes, self._contents = (
            subprocess.Popen(  # noqa: S603
                [*command, option],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            for option in ("--batch-check", "--batch")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End both processes."""
        for process in (self._sizes, self._contents):
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def size(self, identifier: str) -> int | None:
        """Bytes of an object; None where the repository lacks it (a partial clone)."""
        fields = self._header(self._sizes, identifier)
        return int(fields[2]) if len(fields) == 3 else None

    def read(self, identifier: str) -> bytes | None:
        """Content of an object; None where the repository lacks it."""
        fields = self._header(self._contents, identifier)
        if len(fields) != 3:
            return None
        assert self._contents.stdout is not None
        content = self._contents.stdout.read(int(fields[2]))
        self._contents.stdout.read(1)  # a line break behind each
        return content

    def _header(self, process: subprocess.Popen[bytes], identifier: str) -> list[bytes]:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(identifier.encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise FrescoError(f"git:{self._path}: git cat-file ended; git fsck says whether the repository is damaged")
        return line.split()
