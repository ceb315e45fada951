"""A dump that a command writes: it never lies on disk, and the command is run once for each reading."""

from __future__ import annotations

import io
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from fresco.errors import FrescoError

if TYPE_CHECKING:
    from typing_extensions import Buffer

MARK = "command:"


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its arguments, as a shell would split them; no shell runs it.

    Attributes:
        words: As given.
    """

    words: str

    def __post_init__(self) -> None:
        try:
            found = bool(shlex.split(self.words))
        except ValueError as error:
            raise FrescoError(f"{self}: cannot be split into words: {error}") from error
        if not found:
            raise FrescoError(f"{self}: names no command; e.g. --mirror 'command:zcat dump.xml.gz'")

    def __str__(self) -> str:
        return f"{MARK}{self.words}"

    def output(self) -> io.RawIOBase:
        """Run it.

        Raises:
            FrescoError: it cannot be run; or, at the end of its output, it has failed.
        """
        return _Output(self)


class _Output(io.RawIOBase):
    """What a command writes; knows how much was read of it, and fails where the command does."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._count = 0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
                shlex.split(command.words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError as error:
            self._errors.close()
            raise FrescoError(f"{command}: cannot be run ({error.strerror}); is it installed?") from error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        count = cast(io.BufferedReader, self._process.stdout).readinto1(buffer)
        self._count += count
        if not count and self._process.wait():
            self._errors.seek(0)
            said = " ".join(cast(BinaryIO, self._errors).read().decode(errors="replace").split())
            raise FrescoError(f"{self._command}: ended with {self._process.returncode}: {said[-160:] or 'no word'}")
        return count

    def tell(self) -> int:
        return self._count

    def close(self) -> None:
        if not self.closed:
            self._process.kill()  # nobody reads on: a full pipe would make it wait for ever
            cast(io.BufferedReader, self._process.stdout).close()
            self._process.wait()
            self._errors.close()
        super().close()
