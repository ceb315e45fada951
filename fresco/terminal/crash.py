"""The log of a crash: a traceback that a user can send us, without secrets."""

from __future__ import annotations

import os
import platform
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

import fresco
from fresco.io.secrets import command_line, hide


def crash_folder() -> Path:
    """``$FRESCO_LOGS``, else ``fresco/crashes`` in the user's cache folder."""
    if own := os.environ.get("FRESCO_LOGS"):
        return Path(own)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "fresco" / "crashes"


def write_crash_log(program: str, error: BaseException) -> Path | None:
    """Write the traceback of an error where the user can find it.

    Returns:
        The file; None where none can be written, neither in :func:`crash_folder` nor in the folder for temporary files.
    """
    now = datetime.now(UTC)
    text = hide(
        f"{program} {fresco.__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{now.isoformat(timespec='seconds')}\n{command_line()}\n\n{''.join(traceback.format_exception(error))}"
    )
    for folder in (crash_folder, lambda: Path(tempfile.gettempdir())):
        try:
            place = folder()
            place.mkdir(parents=True, exist_ok=True)
            # mkstemp: a file of our own, readable by this user alone, whatever lies there under the same name.
            handle, name = tempfile.mkstemp(prefix=f"{program}-{now:%Y%m%dT%H%M%S}-", suffix=".log", dir=place)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
        except (OSError, RuntimeError):  # Path.home() raises the latter where there is none
            continue
        return Path(name)
    return None
