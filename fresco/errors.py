"""The one error a user may see: one line that says what is wrong, where, and how to mend it."""


class FrescoError(Exception):
    """Bad input, a missing extra, a server that is down: anything the user can mend.

    The message is a single line: what is wrong, where (file, line, field) and how to mend it. The command line prints
    it without a traceback and exits with 2.
    """
