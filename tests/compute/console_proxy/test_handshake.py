"""Which token a request brings, and whose pages may open consoles."""

import pytest
from starlette.datastructures import Headers

from kilonova.compute.consoles.console_proxy.handshake import Refused, check_origin, check_scheme, token_of

TOKEN = "1af18bea-5a64-490e-8251-29c8bed36125"


@pytest.mark.parametrize(
    ("query", "cookie", "token"),
    [
        (f"token={TOKEN}", None, TOKEN),
        (f"token={TOKEN}", "token=other", TOKEN),
        ("", f"token={TOKEN}", TOKEN),
        ("", f'bad cookie[]; lang=vi; token="{TOKEN}"', TOKEN),
        ("token=", "token=", ""),
        ("path=websockify", None, ""),
    ],
)
def test_the_token_is_that_of_the_url_or_else_of_the_cookie(query: str, cookie: str | None, token: str) -> None:
    assert token_of(query, Headers({"cookie": cookie} if cookie else {})) == token


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("controller:6080", "http://controller:6080"),
        ("controller:6080", "https://CONTROLLER"),
        ("10.0.0.11:6080", "http://10.0.0.11:6080"),
        ("[fd00::1]:6080", "http://[fd00::1]:6080"),
        ("controller:6080", "https://cloud.example.org:8443"),
        ("controller:6080", None),
    ],
)
def test_pages_of_this_host_and_of_those_that_are_named_may_open_consoles(host: str, origin: str | None) -> None:
    headers = Headers({"host": host, **({} if origin is None else {"origin": origin})})
    check_origin(headers, ["Cloud.Example.Org"])


@pytest.mark.parametrize(
    ("origin", "sentence"),
    [
        ("http://evil.example.org", "comes from evil.example.org"),
        ("http://controller.evil.org", "comes from controller.evil.org"),
        ("null", "names no host"),
        ("", "names no host"),
        ("//controller", "names no host"),
        ("http://[", "cannot be read"),
    ],
)
def test_other_pages_may_not(origin: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        check_origin(Headers({"host": "controller:6080", "origin": origin}), ["cloud.example.org"])


def test_a_page_comes_by_what_the_consoles_url_names() -> None:
    page = Headers({"origin": "http://controller"})
    check_scheme(page, "http://controller:6080/vnc_auto.html")
    check_scheme(page, "ws://controller:6083/")
    check_scheme(Headers({}), "https://controller:6080/vnc_auto.html")
    with pytest.raises(Refused, match="came by http, and the console's URL names https"):
        check_scheme(page, "https://controller:6080/vnc_auto.html")
    behind_tls = Headers({"origin": "http://controller", "x-forwarded-proto": "https"})
    check_scheme(behind_tls, "wss://controller:6083/")
