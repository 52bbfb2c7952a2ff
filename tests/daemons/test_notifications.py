"""From nova.conf to who publishes notifications; off unless it is asked for."""

from pathlib import Path
from typing import Any

import pytest

from kilonova.cli.daemons.files import read
from kilonova.cli.grounds.files import FilesGround
from kilonova.cli.parts import notifications
from kilonova.cli.parts.notifications import open_notifier, publish_notices
from kilonova.cli.parts.options import COMPUTE
from kilonova.kit.config import ConfigError

BROKER = "rabbit://openstack:RABBIT_PASS@controller"
SENT = f"[oslo_messaging_notifications]\ndriver = messagingv2\ntransport_url = {BROKER}\n"
VERSIONED = "[notifications]\nnotification_format = versioned\n"


def ground_of(tmp_path: Path, text: str) -> FilesGround:
    path = tmp_path / "nova.conf"
    path.write_text(f"[DEFAULT]\nhost = controller\n{text}")
    return FilesGround(read("nova-api", "nova", [COMPUTE], ["--config-file", str(path)]))


@pytest.mark.parametrize("text", ["", VERSIONED, "[oslo_messaging_notifications]\ndriver = noop\n" + VERSIONED])
async def test_nothing_is_sent_unless_a_driver_is_named(tmp_path: Path, text: str) -> None:
    ground = ground_of(tmp_path, text)
    assert await open_notifier(ground) is None
    assert publish_notices(ground, None) == []


async def test_versioned_notifications_go_where_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(notifications, "make_publisher", lambda *given: asked.append(given))
    text = f"{VERSIONED}versioned_notifications_topics = one,two\nnotify_on_state_change = vm_state\n{SENT}"
    ground = ground_of(tmp_path, text)
    notifier = await open_notifier(ground)
    assert notifier is not None
    assert (notifier._topics, notifier._on_states, notifier._host) == (["one", "two"], "vm_state", "controller")
    assert await open_notifier(ground) is notifier
    assert publish_notices(ground, notifier) == [notifier.run]
    assert publish_notices(ground, notifier) == []
    await open_notifier(
        ground_of(tmp_path, f"transport_url = {BROKER}/own\nnotification_driver = messagingv2\n" + VERSIONED)
    )
    assert asked == [(BROKER, "nova", None), (f"{BROKER}/own", "nova", None)]


@pytest.mark.parametrize(("kind", "is_served"), [("both", True), ("unversioned", False)])
async def test_that_unversioned_ones_are_not_sent_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, is_served: bool
) -> None:
    text = f"[notifications]\nnotification_format = {kind}\n{SENT}"
    assert (await open_notifier(ground_of(tmp_path, text)) is not None) == is_served
    assert "unversioned notifications are not sent" in caplog.text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[oslo_messaging_notifications]\ndriver = log\n", "driver: 'log' is none of messagingv2, noop"),
        ("[oslo_messaging_notifications]\ndriver = messagingv2\n", "transport_url is missing"),
        (SENT.replace("rabbit:", "kafka:"), "not with 'kafka'"),
    ],
)
async def test_what_cannot_be_done_stops_the_start(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        await open_notifier(ground_of(tmp_path, text + VERSIONED))
