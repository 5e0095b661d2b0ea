"""The HTTP client: no proxy for our own services, the environment's proxy for others.

``HTTP_PROXY``, ``HTTPS_PROXY`` and ``ALL_PROXY`` are meant for the internet. Between our own processes they would show
keys and records to somebody else, or reach another machine's loopback.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from event_backbone.errors import TryAgainLaterError
from event_backbone.settings import LOOPBACK_HOSTS

if TYPE_CHECKING:
    import requests

#: Whoever asks for more asks for something that no timer can do.
_LONGEST_WAIT_S = 365 * 86_400.0
#: Of an answer, decoded. The largest that we ask for are pages of predictions.
MOST_ANSWER_BYTES = 64 * 1024 * 1024
_PART_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole response. ``retry_after_s``: from its header, ``None`` where it has none."""

    status: int
    body: bytes
    retry_after_s: float | None

    def refusal(self, *who: str) -> TryAgainLaterError:
        """The error for an unexpected status of ``who``; may be temporary."""
        message = " ".join((*who, f"answered {self.status}"))
        return TryAgainLaterError(message, 1.0 if self.retry_after_s is None else self.retry_after_s)


class HttpClient:
    """Sends requests and keeps connections; thread-safe. Made by :func:`own_client` or :func:`outside_client`.

    It follows no redirect, keeps no cookie, reads no ``.netrc`` and asks for answers as they are, so that none is
    larger than what came. Certificates are checked against those of
    ``REQUESTS_CA_BUNDLE`` where that is set.
    """

    def __init__(self, *, timeout_s: float, api_key: str | None, proxies_for: Callable[[str], dict[str, str]]) -> None:
        import requests

        self._timeout_s = timeout_s
        self._proxies_for = proxies_for
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Accept-Encoding"] = "identity"
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        if api_key:
            # As a header alone, a login in the URL would be sent in its place.
            self._session.auth = _Bearer(api_key)

    def send(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        reads_body: bool = True,
    ) -> HttpAnswer:
        """Any status is an answer; without ``reads_body`` the body is not read, and empty.

        Raises:
            TryAgainLaterError: no whole answer came, or one above :data:`MOST_ANSWER_BYTES`. The message says how,
                never from where: a URL may hold a secret.
        """
        import requests

        try:
            with self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=self._timeout_s,
                allow_redirects=False,
                proxies=self._proxies_for(url),
                stream=True,
            ) as response:
                content = content_of(response, MOST_ANSWER_BYTES) if reads_body else b""
        except requests.RequestException as error:
            raise TryAgainLaterError(self._reason(error)) from None
        return HttpAnswer(response.status_code, content, retry_after_s(response.headers.get("Retry-After")))

    def _reason(self, error: Exception) -> str:
        import requests

        if isinstance(error, requests.Timeout):
            return f"no answer within {self._timeout_s:g} s"
        # Its kinds, such as a proxy's or a certificate's, say more.
        return "the connection failed" if type(error) is requests.ConnectionError else type(error).__name__

    def close(self) -> None:
        self._session.close()


def own_client(*, timeout_s: float, api_key: str | None = None) -> HttpClient:
    """For services of ours: never through a proxy; ``api_key`` is sent to them."""
    return HttpClient(timeout_s=timeout_s, api_key=api_key, proxies_for=lambda _url: {})


def outside_client(*, timeout_s: float) -> HttpClient:
    """For other servers: through the environment's proxy, but for hosts in ``NO_PROXY`` and on this machine."""
    return HttpClient(timeout_s=timeout_s, api_key=None, proxies_for=_proxies_of_environment)


def content_of(response: requests.Response, most_bytes: int) -> bytes:
    """The body of a streamed response, decoded. Raises what reading does.

    Raises:
        TryAgainLaterError: it is larger than ``most_bytes``; not more than that was read.
    """
    content = bytearray()
    for part in response.iter_content(_PART_BYTES):
        content += part
        if len(content) > most_bytes:
            raise TryAgainLaterError(f"the answer is larger than {most_bytes:,} bytes")
    return bytes(content)


class _Bearer:
    def __init__(self, api_key: str) -> None:
        self._value = f"Bearer {api_key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


def _proxies_of_environment(url: str) -> dict[str, str]:
    from requests.utils import get_environ_proxies

    return {} if _is_on_this_machine(url) else dict(get_environ_proxies(url))


def _is_on_this_machine(url: str) -> bool:
    """Which no proxy can reach."""
    try:
        host = urlsplit(url).hostname or ""
        return host in LOOPBACK_HOSTS or ip_address(host).is_loopback
    except ValueError:
        return False


def retry_after_s(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds of a ``Retry-After`` (RFC 9110: whole seconds or a date); ``None`` when it is missing or invalid."""
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_WAIT_S)
    try:
        at = parsedate_to_datetime(text)
        left_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now()
    except (ValueError, OverflowError):  # a number of any length may stand where a date has one
        return None
    return min(max(0.0, left_s), _LONGEST_WAIT_S)
