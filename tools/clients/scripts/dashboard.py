# mypy: ignore-errors
"""Horizon without a web server: its pages opened, its forms filled in and sent, and whatever went wrong noted.

It runs in this process, by Django's test client, with a `local_settings` written into the working directory. Each
request of a page is noted with what the page asked of the cloud: a page that hides a failed request from its user is
found too.
"""

import json
import os
import re
import sys
import traceback
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

LOCAL_SETTINGS = f"""
ALLOWED_HOSTS = ["*"]
COMPRESS_ENABLED = False
COMPRESS_PRECOMPILERS = ()
CACHES = {{"default": {{"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}}}
LOCAL_PATH = {str(Path.cwd())!r}
STATIC_ROOT = {str(Path.cwd() / "static")!r}
SECRET_KEY = "of a dashboard that lives for a minute"
OPENSTACK_KEYSTONE_URL = {os.environ["OS_AUTH_URL"]!r}
OPENSTACK_KEYSTONE_MULTIDOMAIN_SUPPORT = True
OPENSTACK_KEYSTONE_DEFAULT_DOMAIN = "Default"
OPENSTACK_HYPERVISOR_FEATURES = {{"can_set_mount_point": False, "can_set_password": True}}
LOGGING = {{"version": 1, "disable_existing_loggers": False}}
"""
DEBIANS_POLICIES = Path(os.environ.get("ENVIRONMENT", "/")) / "etc/openstack-dashboard/policy"
"""Debian has them apart from the Python package."""

ALERT = re.compile(r'<div class="alert alert-(danger|warning)[^"]*">(.*?)</div>', re.DOTALL)
NO_SCRIPTS = re.compile(r"<noscript>.*?</noscript>", re.DOTALL)
FIELD_ERROR = re.compile(r'class="(?:help-block alert alert-danger|errorlist)[^"]*">(.*?)</', re.DOTALL)
TAG = re.compile(r"<[^>]+>")
AJAX = {"HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}


def start() -> None:
    """Makes Django ready. To be called before anything of Horizon is imported."""
    package = Path.cwd() / "local"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    policies = f"POLICY_FILES_PATH = {str(DEBIANS_POLICIES)!r}\n" if DEBIANS_POLICIES.exists() else ""
    (package / "local_settings.py").write_text(LOCAL_SETTINGS + policies)
    sys.path.insert(0, str(Path.cwd()))
    os.environ["DJANGO_SETTINGS_MODULE"] = "openstack_dashboard.settings"
    import django
    import requests

    django.setup()
    from openstack_dashboard.api.rest import utils

    # The test client sets this attribute, which Horizon made a property without a setter.
    del utils._RestResponse.json
    send = requests.Session.send

    def noting(session, request, **named):
        response = send(session, request, **named)
        ASKED.append((request.method, request.url, response.status_code, response.text[:300]))
        return response

    requests.Session.send = noting


ASKED: list[tuple[str, str, int, str]] = []
"""What Horizon asked of the cloud since the last page, with the status and the beginning of the answer."""


@dataclass
class Form:
    """A form of a page, with the values it proposes."""

    action: str = ""
    values: dict = field(default_factory=dict)
    choices: dict = field(default_factory=dict)
    names: set = field(default_factory=set)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._select = self._area = None

    def handle_starttag(self, tag, attributes) -> None:
        values = dict(attributes)
        if tag == "form":
            self.forms.append(Form(unescape(values.get("action") or "")))
        if not self.forms:
            return
        form, name = self.forms[-1], values.get("name")
        if name:
            form.names.add(name)
        if tag == "select":
            self._select = (name, "multiple" in values)
            form.choices.setdefault(name, {})
        elif tag == "textarea":
            self._area = name
            form.values.setdefault(name, "")
        elif tag == "option" and self._select:
            self._option(form, values)
        elif tag == "input" and name:
            self._input(form, name, values)

    def _option(self, form, values) -> None:
        name, is_multiple = self._select
        value = values.get("value") or ""
        self._text, form.choices[name][value] = value, ""
        if is_multiple:
            if "selected" in values:
                form.values.setdefault(name, []).append(value)
        elif "selected" in values or name not in form.values:
            form.values[name] = value

    def _input(self, form, name, values) -> None:
        kind = (values.get("type") or "text").lower()
        value = values.get("value") or ""
        if kind in ("checkbox", "radio"):
            form.choices.setdefault(name, {})[value] = ""
            if "checked" in values:
                form.values[name] = value or "on"
        elif kind not in ("submit", "button", "file", "reset"):
            form.values.setdefault(name, value)

    def handle_endtag(self, tag) -> None:
        if tag == "select":
            self._select = None
        elif tag == "textarea":
            self._area = None

    def handle_data(self, text) -> None:
        if self._area:
            self.forms[-1].values[self._area] += text.lstrip("\r\n")
        elif self._select and self._select[0] in self.forms[-1].choices:
            options = self.forms[-1].choices[self._select[0]]
            if options:
                options[next(reversed(options))] += " ".join(text.split())


def forms_of(page: str) -> list[Form]:
    parser = _Forms()
    parser.feed(page)
    return parser.forms


class Browser:
    """One user's browser. `faults` collects what went wrong, one sentence each; `allowed` says which are expected:
    pairs of patterns, of the page and of the sentence."""

    def __init__(self, allowed=()) -> None:
        from django.test import Client

        self._client = Client(raise_request_exception=False)
        self._allowed = [(re.compile(page), re.compile(said)) for page, said in allowed]
        self.faults: list[str] = []
        self.opened: set[str] = set()
        self.where = ""

    def log_in(self, user: str, password: str) -> str:
        answer = {"username": user, "password": password, "domain": "Default"}
        page = self.submit("/auth/login/", answer, names={"username"})
        assert self.where != "/auth/login/", f"{user} cannot log in: {self.faults}"
        return page

    def open(self, path: str, **headers: str) -> str:
        """The page at the path, after the redirects that lie on the way."""
        ASKED.clear()
        response = self._client.get(path, follow=True, **headers)
        return self._look_at(path, response)

    def form(self, path: str, names=frozenset()) -> Form:
        """The form of the page that has these fields."""
        page = self.open(path)
        found = [each for each in forms_of(page) if set(names) <= each.names]
        assert found, f"{path} has no form with {sorted(names)}"
        return found[-1]

    def submit(self, path: str, fields: dict, names=None) -> str:
        """Fills in the form at the path and sends it; the page that follows. A form that comes back is a fault.

        None clears a box.
        """
        form = self.form(path, names or fields)
        unknown = fields.keys() - form.names
        if unknown:
            self.note(path, f"its form has no {sorted(unknown)}, but {sorted(form.names)}")
        filled = {name: value for name, value in {**form.values, **fields}.items() if value is not None}
        return self.post(urljoin(path, form.action or path), filled, is_form=True)

    def post(self, path: str, fields: dict, *, is_form: bool = False) -> str:
        ASKED.clear()
        response = self._client.post(path, fields, follow=True)
        page = self._look_at(f"POST {path}", response)
        if is_form and not response.redirect_chain:
            told = [" ".join(TAG.sub(" ", each).split()) for each in FIELD_ERROR.findall(page)]
            self.note(f"POST {path}", f"the form came back: {told}")
        return page

    def rest(self, method: str, path: str, body=None):
        """What the pages' scripts ask of Horizon: JSON both ways."""
        ASKED.clear()
        content = "" if body is None else json.dumps(body)
        response = self._client.generic(method, path, content, content_type="application/json", **AJAX)
        page = self._look_at(f"{method} {path}", response)
        return json.loads(page) if page.strip() and response.status_code < 400 else None

    def note(self, page: str, said: str) -> None:
        if not any(where.search(page) and what.search(said) for where, what in self._allowed):
            self.faults.append(f"{page}: {said}")

    def _look_at(self, path: str, response) -> str:
        self.where = response.request["PATH_INFO"]
        self.opened.add(path)
        text = "" if response.streaming else NO_SCRIPTS.sub("", response.content.decode(errors="replace"))
        if response.status_code >= 400:
            told = " ".join(TAG.sub(" ", text).split())[:300]
            if response.exc_info:
                told = f"{response.exc_info[1]!r} at {traceback.extract_tb(response.exc_info[2])[-1]}"
            self.note(path, f"status {response.status_code} {told}")
        shown = [" ".join(unescape(TAG.sub(" ", told)).split()) for _, told in ALERT.findall(text)]
        shown += [
            f"{kind}: {told}"
            for kind, told, *_ in json.loads(response.get("X-Horizon-Messages") or "[]")
            if kind in ("error", "warning")
        ]
        for told in shown:
            self.note(path, told)
        for method, url, status, answer in ASKED:
            if status >= 400:
                self.note(
                    path, f"asked {method} {urlsplit(url)._replace(scheme='', netloc='').geturl()}: {status} {answer}"
                )
        ASKED.clear()
        return text
