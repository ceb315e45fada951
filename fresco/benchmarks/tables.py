"""Read the rows of a table, each with the place it came from, so that every error can name it.

Three kinds of tables end in the same rows:

- JSON Lines files are read here, line by line: ``datasets`` would not keep the number of a line, and an error that
  cannot say where it is helps nobody.
- Parquet files are read by :mod:`fresco.io.parquet`, within limits and without a cache: a changed file can never answer
  with its old rows, and nothing is left beside the user's data.
- Tables on the Hugging Face hub are read by ``datasets`` with its usual cache, which is keyed by commit and lets a
  machine without network open what was opened before.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from fresco.errors import FrescoError
from fresco.io import parquet
from fresco.io.names import short
from fresco.io.packed import numbered_lines
from fresco.records import parse_timestamp

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        place: Where a person finds it: ``path/corpus.jsonl, line 3`` or ``path/corpus.parquet, row 3`` (from 1).
        fields: The columns, as read.
    """

    place: str
    fields: Mapping[str, Any]

    def error(self, field: str, problem: str) -> FrescoError:
        """The error that says where and in which field something is wrong."""
        return FrescoError(f"{self.place}, field {field!r}: {problem}")

    def text(self, field: str, *, may_be_empty: bool = False) -> str:
        """The field as text.

        Raises:
            FrescoError: it is missing, null, no string, empty, or holds half a surrogate pair.
        """
        value = self.fields.get(field)
        if value is None:
            raise self.error(field, "is missing" if field not in self.fields else "is null")
        if not isinstance(value, str):
            raise self.error(field, f"is {type(value).__name__} {short(value)}, not text; write it as a string")
        if not may_be_empty and not value.strip():
            raise self.error(field, "is empty")
        try:
            value.encode()
        except UnicodeEncodeError as error:  # "\ud800" is legal in JSON and nowhere else
            raise self.error(field, f"holds half a surrogate pair at character {error.start + 1}") from None
        return value

    def identifier(self, field: str) -> str:
        """The field as an id: text without white space, which ends a field in TREC run and qrels files."""
        value = self.text(field)
        if value.split() != [value]:
            raise self.error(field, f"{short(value)} holds white space, which no id in a TREC file can")
        return value

    def timestamp(self, field: str) -> datetime:
        """The field as a date and time, UTC, whole seconds."""
        value = self.fields.get(field)
        if isinstance(value, datetime):  # datasets' JSON reader makes dates of our strings, without zone
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return aware.astimezone(UTC).replace(microsecond=0)
        value = self.text(field)
        try:
            return parse_timestamp(value)
        except ValueError:
            raise self.error(field, f"{short(value)} is no date of the form YYYY-MM-DDThh:mm:ssZ") from None

    def choice(self, field: str, choices: type[_Choice]) -> _Choice:
        """The field as a member of an enumeration."""
        value = self.text(field)
        try:
            return choices(value)
        except ValueError:
            raise self.error(field, f"{short(value)} is none of {', '.join(choices)}") from None

    def optional_choice(self, field: str, choices: type[_Choice]) -> _Choice | None:
        """The field as a member of an enumeration; None where it is missing, null or empty."""
        return None if self.fields.get(field) in (None, "") else self.choice(field, choices)

    def optional_boolean(self, field: str) -> bool | None:
        """The field as true or false; None where it is missing or null."""
        value = self.fields.get(field)
        if value is None or isinstance(value, bool):
            return value
        raise self.error(field, f"is {type(value).__name__} {short(value)}, not true or false")

    def optional_integer(self, field: str) -> int | None:
        """The field as a whole number; None where it is missing or null."""
        value = self.fields.get(field)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self.error(field, f"is {type(value).__name__} {short(value)}, not a whole number")


def one_line(error: BaseException) -> str:
    """What a library said, on one line of at most 200 characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, packed or not, that are not blank, with their numbers from 1.

    Raises:
        FrescoError: a line is not UTF-8, or the file cannot be read or passes a limit of :mod:`fresco.io.packed`.
    """
    for number, line in numbered_lines(path):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise FrescoError(
                f"{path}, line {number}: byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8; "
                "save the file as UTF-8"
            ) from None
        if text.strip():
            yield number, text.removesuffix("\n")


def stream_jsonl(path: Path) -> Iterator[Row]:
    """The rows of a JSON Lines file, one at a time.

    Raises:
        FrescoError: a line is not UTF-8 or not a JSON object, or the file cannot be read.
    """
    for number, line in read_lines(path):
        place = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as error:
            raise FrescoError(f"{place}: is not JSON: {error.msg} at character {error.pos + 1}") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            raise FrescoError(f"{place}: is not JSON: {one_line(error)}") from None
        if not isinstance(fields, dict):
            raise FrescoError(f"{place}: is not a JSON object but {short(fields)}")
        yield Row(place, fields)


def read_jsonl(path: Path) -> list[Row]:
    """The rows of a JSON Lines file; see :func:`stream_jsonl`.

    Raises:
        FrescoError: as there, or there is no row.
    """
    return _some(list(stream_jsonl(path)), path)


def read_parquet(path: Path) -> list[Row]:
    """The rows of a Parquet file.

    Raises:
        FrescoError: the file is truncated or damaged, a text is not UTF-8, or there is no row.
    """
    return _some([Row(*row) for row in parquet.read_parquet(path)], str(path))


def read_hub(dataset: str, table: str) -> list[Row]:
    """The rows of one table of a Hugging Face dataset: its configuration of that name, split ``train``.

    Args:
        dataset: ``user/name``. ``datasets`` takes a folder with a dataset card as well, but may answer with what the
            folder held earlier, so :func:`fresco.benchmarks.open_benchmark` reads folders itself.
        table: ``corpus``, ``queries`` or ``pools``.

    Raises:
        FrescoError: it cannot be reached, has no such configuration, or cannot be read.
    """

    def load() -> Any:
        import datasets

        return datasets.load_dataset(dataset, table, split="train")

    return _some(_rows(f"{dataset} (table {table})", load), f"{dataset} (table {table})")


def read_hub_file(dataset: str, name: str) -> bytes | None:
    """A small file of a Hugging Face dataset, through the hub's own cache; None where the dataset has none.

    Args:
        dataset: ``user/name``.
        name: Of the file.

    Raises:
        FrescoError: the dataset cannot be reached and the file was not read before.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(dataset, name, repo_type="dataset")).read_bytes()
    except LocalEntryNotFoundError:  # no network and not in the cache: the tables may be, and say themselves if not
        return None
    except EntryNotFoundError:
        return None
    # As for the tables: whatever httpx, the hub's client and the disk raise.
    except Exception as error:
        raise FrescoError(f"{dataset}: {name} cannot be read ({one_line(error.__cause__ or error)})") from error


def _some(rows: list[Row], source: object) -> list[Row]:
    if not rows:
        raise FrescoError(f"{source}: the table has no rows")
    return rows


def _rows(source: str, load: Callable[[], Any]) -> list[Row]:
    with _quiet():
        dataset = _translated(source, load)
        try:
            rows = dataset.to_list()
        except UnicodeDecodeError:
            raise _not_utf8(source, dataset.data) from None
    return [Row(f"{source}, row {number}", fields) for number, fields in enumerate(rows, 1)]


def _translated(source: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    # datasets lets through whatever its readers and its network raise (pyarrow, httpx, OSError, its own), undocumented.
    except Exception as error:
        raise FrescoError(f"{source}: cannot be read ({one_line(error.__cause__ or error)})") from error


def _not_utf8(source: str, table: Any) -> FrescoError:
    for field in table.column_names:
        for number, value in enumerate(table[field], 1):
            try:
                value.as_py()
            except UnicodeDecodeError as error:
                return Row(f"{source}, row {number}", {}).error(field, f"byte {error.start + 1} is not UTF-8")
    return FrescoError(f"{source}: holds text that is not UTF-8")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, log lines or warnings of datasets and huggingface_hub; the settings are given back."""
    import datasets
    from huggingface_hub import utils as hub

    # What goes wrong is raised, and ends in one line; standard error is not theirs.
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    bars = [side for side in (datasets, hub) if not side.are_progress_bars_disabled()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        for side in bars:
            side.disable_progress_bars()
        try:
            yield
        finally:
            for side in bars:
                side.enable_progress_bars()
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
