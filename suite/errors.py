"""The one exception meant for people: a sentence that says what, where and what to do."""

from __future__ import annotations


class UserError(Exception):
    """Something a person can mend. The command line prints it as one line, without a traceback.

    ``code`` is the exit status: 1 the work or a check failed, 2 the command or a file was wrong.
    """

    def __init__(self, message: str, *, code: int = 2) -> None:
        super().__init__(message)
        self.code = code
