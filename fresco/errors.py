"""The one error a user may see: one line that says what is wrong, where, and how to mend it."""


class FrescoError(Exception):
    """Bad input, a missing extra, a server that is down: anything the user can mend.

    The message is a single line: what is wrong, where (file, line, field) and how to mend it. The command line prints
    it without a traceback and exits with 2.
    """


def require_whole(option: str, value: object, *, least: int = 1) -> None:
    """Refuse a number that an option does not take; the command line's parser does so by itself.

    Raises:
        FrescoError: ``value`` is not a whole number from ``least`` up.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise FrescoError(f"--{option.replace('_', '-')} {value!r}: give a whole number from {least} up")
