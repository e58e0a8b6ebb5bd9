"""Datadog access tokens from the program that DD_CREDENTIAL_HELPER names.

One file without dependencies, for Python 3.8 or later. It implements the contract for callers in
dd-oauth's protocol.md.

    client = Client()

    def send(credential):
        headers = {"Authorization": "Bearer " + credential.access_token}
        response = requests.get(credential.api_url + "/api/v2/current_user", headers=headers)
        return response.status_code, response

    response = client.call(send)
"""

import dataclasses
import os
import re
import subprocess
import threading
import time
from typing import Callable, List, Optional, Tuple, TypeVar

_Response = TypeVar("_Response")
# Longest answer that is read, in bytes: several times what the longest token takes.
_ANSWER_LIMIT = 64 * 1024
_LINE = re.compile("([a-z_]+)=([^\x00-\x08\x0a-\x1f\x7f-\x9f]*)")
_RULES = {
    "access_token": "[!-~]{1,16384}",
    "token_type": "Bearer",
    # Missing in a token whose life nobody knows.
    "expires_at": "([1-9][0-9]{0,14})?",
    "site": ".+",
    # The token is sent there: in the clear to this machine alone.
    "api_url": "(https://|http://127[.]0[.]0[.]1:).+",
}


class CredentialError(Exception):
    """No token can be had, and the same call would fail again."""


class HelperMissing(CredentialError):
    """There is no helper: not named, not found, or it cannot be started."""


class LoginRequired(CredentialError):
    """A person has to log in first. The helper's standard error named the command."""


class TemporaryFailure(CredentialError):
    """It may be tried again, with growing pauses."""


@dataclasses.dataclass(frozen=True)
class Credential:
    """An answer of the helper. The token is meant for the origin of `api_url` alone."""

    access_token: str = dataclasses.field(repr=False)
    # In seconds of Unix time, where it is known.
    expires_at: Optional[int]
    site: str
    api_url: str
    org: Optional[str]


class Client:
    """Gets the tokens of one site and organization, for any number of threads.

    `interactive=False` says that nobody is there to log in. A token is asked for again `margin`
    seconds before it expires. `deadline` may only be longer than the helper's own.
    """

    def __init__(
        self,
        site: Optional[str] = None,
        org: Optional[str] = None,
        interactive: bool = True,
        margin: float = 60,
        deadline: Optional[float] = None,
    ):
        named = [("site", site), ("org", org)]
        self._names = [f"{key}={value}" for key, value in named if value is not None]
        self._interactive = interactive
        self._margin = margin
        self.deadline = deadline or (7 * 60 if interactive else 90)
        self._lock = threading.Lock()
        self._kept: Optional[Credential] = None

    def call(self, send: Callable[[Credential], Tuple[int, _Response]]) -> _Response:
        """Lets `send` make a request, which returns its status and response; after a 401, once
        more with another token, where there is one."""
        credential = self.get()
        status, response = send(credential)
        another = self.renew(credential) if status == 401 else None
        return response if another is None else send(another)[1]

    def get(self) -> Credential:
        """A credential that is good now. Raises `CredentialError`."""
        with self._lock:
            return self._get()

    def renew(self, rejected: Credential) -> Optional[Credential]:
        """Another credential after the API answered 401 to this one; `None` where the helper has
        no other, so that the 401 stands. Raises `CredentialError`."""
        with self._lock:
            # Another thread may have been here with the same token.
            if self._kept is None or self._kept.access_token == rejected.access_token:
                self._kept = None
                org = [] if rejected.org is None else [f"org={rejected.org}"]
                token = f"access_token={rejected.access_token}"
                self._ask(["erase", f"site={rejected.site}", *org, token])
            credential = self._get()
        return None if credential.access_token == rejected.access_token else credential

    def _get(self) -> Credential:
        kept, self._kept = self._kept, None
        again = 0 if kept is None else (kept.expires_at or 0) - self._margin
        if kept is None or time.time() >= again:
            kept = _parse(self._ask(["get", *self._names]))
        self._kept = kept
        return kept

    def _ask(self, lines: List[str]) -> bytes:
        """Runs the helper with a request, and returns what it wrote."""
        if any(re.search("[\x00-\x1f\x7f-\x9f]", line) for line in lines):
            raise CredentialError("site and org must have no control characters")
        request = "".join(line + "\n" for line in lines).encode()
        environment = dict(os.environ)
        if not self._interactive:
            environment["DD_OAUTH_INTERACTIVE"] = "never"
        command = _command(environment)
        try:
            # It stays in our process group: only in the foreground it asks for a login.
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as error:
            raise HelperMissing(f"cannot start {command[0]}: {error.strerror}") from error
        answers: List[bytes] = []

        def exchange() -> None:
            try:
                process.stdin.write(request)
                process.stdin.close()
            except OSError:
                pass  # A helper that fails at once reads nothing.
            answers.append(process.stdout.read(_ANSWER_LIMIT + 1))

        # In a thread that is left behind: another process may hold the pipe for longer than the
        # helper lives.
        exchanging = threading.Thread(target=exchange, daemon=True)
        end = time.monotonic() + self.deadline
        try:
            exchanging.start()
            exchanging.join(self.deadline)
            if not answers:
                raise TemporaryFailure(f"{command[0]} did not answer within {self.deadline} s")
            if len(answers[0]) > _ANSWER_LIMIT:
                raise CredentialError(f"the answer of {command[0]} is too long")
            code = process.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TemporaryFailure(f"{command[0]} did not end within {self.deadline} s") from None
        finally:
            process.kill()
            process.wait()
            if answers:
                process.stdout.close()
        if code == 3:
            raise LoginRequired(f"{command[0]}: login required")
        if code == 4:
            raise TemporaryFailure(f"{command[0]}: temporary failure")
        if code != 0:
            raise CredentialError(f"{command[0]} failed with exit code {code}")
        return answers[0]


def _command(environment) -> List[str]:
    """The helper and its arguments: words between blanks, with no shell and no quoting."""
    words = [word for word in re.split("[ \t]+", environment.get("DD_CREDENTIAL_HELPER", "")) if word]
    if not words:
        raise HelperMissing("DD_CREDENTIAL_HELPER is not set")
    if os.path.isabs(words[0]):
        return words
    if not os.path.dirname(words[0]):
        # Nothing is run from the working directory, which may be anybody's.
        for directory in filter(os.path.isabs, environment.get("PATH", "").split(os.pathsep)):
            program = os.path.join(directory, words[0])
            if os.name == "nt" and not program.lower().endswith(".exe"):
                program += ".exe"
            if os.path.isfile(program) and os.access(program, os.X_OK):
                return [program, *words[1:]]
    raise HelperMissing(f"{words[0]} of DD_CREDENTIAL_HELPER is neither an absolute path nor in PATH")


def _parse(answer: bytes) -> Credential:
    values = {}
    # Says nothing of what stands in it: it may be a token.
    bad = CredentialError("the answer of the helper is not one of its protocol")
    try:
        *lines, rest = answer.decode().split("\n")
    except UnicodeDecodeError:
        raise bad from None
    for line in lines:
        matched = _LINE.fullmatch(line)
        if matched is None or matched[1] in values:
            raise bad
        values[matched[1]] = matched[2]
    if rest or not all(re.fullmatch(rule, values.get(key, "")) for key, rule in _RULES.items()):
        raise bad
    if values.get("expires_at") == "":
        raise bad
    return Credential(
        values["access_token"],
        int(values["expires_at"]) if "expires_at" in values else None,
        values["site"],
        values["api_url"],
        values.get("org"),
    )
