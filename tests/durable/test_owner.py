"""Daemons that share a folder: each finds what is its own again, and leaves alone what is another one's."""

from __future__ import annotations

import fcntl
import hashlib
import json
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest
from daemon import Daemon
from loaded import load
from structlog.testing import capture_logs

from edged.durable.owner import Owner, Whose
from edged.durable.spool_folder import SpoolFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edged.settings.declared import Settings

    Enter = Callable[[list[Settings]], Owner]

SOURCE = "rtsp://camera/1"
COMMON = {"EDGED_SOURCE": SOURCE, "EDGED_MQTT_URL": "mqtt://broker"}


def settings(node: str, camera: str = "front", **more: str) -> list[Settings]:
    return [load(**{**COMMON, "EDGED_NODE": node, "EDGED_CAMERA": camera, **more})]


@pytest.fixture
def entered(tmp_path: Path) -> Iterator[Enter]:
    """A daemon with such settings begins in the folder; all of them have left it in the end."""
    owners: list[Owner] = []

    def enter(of: list[Settings]) -> Owner:
        owners.append(Owner([SOURCE]))
        owners[-1].enter(tmp_path, of)
        return owners[-1]

    yield enter
    for owner in owners:
        owner.leave()


def test_two_of_one_source_keep_apart_and_find_their_own_in_any_order(entered: Enter) -> None:
    first, second = settings("a"), settings("b")
    one, two = entered(first), entered(second)
    assert (one.has_node, two.has_node) == (True, True)
    origins = {"a": one.origin, "b": two.origin}
    assert origins["a"] != origins["b"]
    one.leave()
    two.leave()
    for order in ((second, first), (first, second)):
        owners = [entered(of) for of in order]
        assert {of[0].node: owner.origin for of, owner in zip(order, owners, strict=True)} == origins
        for owner in owners:
            owner.leave()


def test_a_card_says_what_those_of_earlier_versions_have_said(tmp_path: Path) -> None:
    """Whose files are called after it: the sources in any order, and a number for all but the first."""
    folder = tmp_path / "not" / "there"
    both = [*settings("lab1", "front"), *settings("lab1", "back")]
    owners = [Owner(sources) for sources in (["b", "a"], ["a", "b"], ["b", "a"], ["a"])]
    assert [(owner.origin, owner.has_node, owner.knows) for owner in owners[:2]] == [
        ("7e18f737", True, False)
    ] * 2
    for owner in owners:
        owner.enter(folder, both)
    assert [owner.origin for owner in owners[:3]] == ["7e18f737", "7e18f737.2", "7e18f737.3"]
    card = folder / "edged-7e18f737.card"
    config = hashlib.sha256("".join(one.fingerprint for one in both).encode()).hexdigest()[:12]
    assert json.loads(card.read_text()) == {"node": "lab1", "cameras": ["back", "front"], "config": config}
    assert stat.S_IMODE(card.stat().st_mode) & 0o133 == 0
    for owner in owners:
        assert owner.knows
        owner.leave()
        assert not owner.knows


def test_who_is_alike_is_told_by_its_settings_first_and_by_its_names_then() -> None:
    whose = Whose("a", ("front",), "1")
    others = [whose, Whose("b", ("back",), "1"), Whose("a", ("front",), "2"), Whose("a", ("back",), "2")]
    assert [whose.likeness(other) for other in [*others, Whose()]] == [4, 2, 2, 1, 0]
    assert Whose("", (), "1").likeness(Whose("", ("back",), "2")) == 0, (
        "two without a node have none in common"
    )


def test_who_has_the_very_settings_of_another_is_either_of_them(entered: Enter) -> None:
    one, two = entered(settings("a")), entered(settings("a"))
    origins = {one.origin, two.origin}
    for owner in (one, two):
        owner.leave()
    assert {entered(settings("a")).origin, entered(settings("a")).origin} == origins


def test_what_nothing_speaks_for_is_left_to_who_may_come_back(entered: Enter) -> None:
    """The one whose card it is does not run just now."""
    one, two = entered(settings("a")), entered(settings("b"))
    one.leave()
    assert entered(settings("c", "back")).origin not in {one.origin, two.origin}


def test_nobody_takes_the_card_of_other_sources(tmp_path: Path, entered: Enter) -> None:
    other = Owner(["rtsp://camera/2"])
    other.enter(tmp_path, settings("a"))
    other.leave()
    assert entered(settings("a")).origin == "88d55fa9"


def test_another_folder_leaves_the_first_one_to_others(tmp_path: Path, entered: Enter) -> None:
    first = entered(settings("a"))
    first.enter(tmp_path / "other", settings("a"))
    assert (first.origin, first.has_node) == ("88d55fa9", True)
    second = entered(settings("a"))
    assert (second.origin, second.has_node) == ("88d55fa9", True)
    first.enter(None, settings("a"))
    assert (first.has_node, first.knows) == (True, False)


def test_the_only_one_of_a_source_is_known_by_it_whatever_it_is_called_now(entered: Enter) -> None:
    before = entered(settings("a"))
    before.leave()
    assert entered(settings("b", "back")).origin == before.origin


def test_who_may_be_either_of_two_takes_neither(entered: Enter) -> None:
    """Another name, and the other daemon does not run: it would clear what that one has said."""
    one, two = entered(settings("a")), entered(settings("b"))
    taken = {one.origin, two.origin}
    one.leave()
    two.leave()
    renamed = entered(settings("c"))
    assert renamed.origin not in taken
    renamed.leave()
    assert entered(settings("c")).origin == renamed.origin, "and has its own from then on"


def test_a_node_is_the_first_ones_until_that_ends(entered: Enter, tmp_path: Path) -> None:
    first = entered(settings("a"))
    with capture_logs() as logs:
        second = entered(settings("a", "back"))
    assert [line["event"] for line in logs] == ["node_in_use"]
    assert (first.has_node, second.has_node) == (True, False)
    first.leave()
    second.enter(tmp_path, settings("a", "back"))
    assert second.has_node
    with capture_logs() as logs:
        assert not entered(settings("a", EDGED_MQTT_URL="")).has_node, "there is none without a broker"
    assert logs == []


def test_a_reload_writes_its_new_name_on_its_card(entered: Enter, tmp_path: Path) -> None:
    owner = entered(settings("a"))
    origin = owner.origin
    owner.enter(tmp_path, settings("b"))
    assert (owner.origin, owner.has_node) == (origin, True)
    owner.enter(tmp_path, settings("b"))
    assert (owner.origin, owner.has_node) == (origin, True)
    assert entered(settings("a")).has_node, "that name is free"
    assert not entered(settings("b")).has_node


def test_the_second_one_takes_the_node_over_when_the_first_has_gone(entered: Enter) -> None:
    first, second = entered(settings("a")), entered(settings("a", "back"))
    assert not second.take_over()
    first.leave()
    assert second.take_over()
    assert second.has_node
    assert not entered(settings("a")).has_node, "it is the first one's no more"
    assert not second.take_over(), "it has it"
    alone = entered(settings("", EDGED_MQTT_URL=""))
    assert not alone.take_over(), "there is none to take over"


def test_who_leaves_the_folder_and_comes_back_is_the_same(entered: Enter, tmp_path: Path) -> None:
    """A reload takes EDGED_SPOOL away, another one brings it back: by then there are two like it."""
    one, two = entered(settings("a")), entered(settings("b"))
    origin = one.origin
    two.leave()
    one.enter(None, settings("a"))
    one.enter(tmp_path, settings("c"))
    assert one.origin == origin


@pytest.mark.parametrize("content", ["", "{", "[]", '{"node": 1}', "\x00" * 5])
def test_a_damaged_card_is_one_that_says_nothing(entered: Enter, tmp_path: Path, content: str) -> None:
    before = entered(settings("a"))
    before.leave()
    next(tmp_path.glob("*.card")).write_text(content)
    assert entered(settings("a")).origin == before.origin


def test_where_no_card_can_be_taken_nothing_is_removed(entered: Enter, tmp_path: Path) -> None:
    (tmp_path / "edged.lock").mkdir()
    folder = SpoolFolder(tmp_path)
    with capture_logs() as logs:
        owner = entered(settings("a"))
    assert [line["event"] for line in logs] == ["folder_not_shared"]
    left = [folder.switched("a", "old"), folder.webhook(owner.origin, "old")]
    for path in left:
        path.write_text("{}")
    folder.tidy("a", owner, {"front"})
    assert all(path.exists() for path in left)


def test_a_daemon_by_hand_beside_the_service_takes_nothing_from_it(tmp_path: Path, demo_model: Path) -> None:
    """The same node and source with another camera name, as somebody tries something."""
    folder = tmp_path / "spool"
    service = {
        "EDGED_SOURCE": "synthetic:?width=64&height=64&fps=5",
        "EDGED_MODEL": str(demo_model),
        "EDGED_MQTT_URL": "mqtt://127.0.0.1:9",
        "EDGED_WEBHOOK_URL": "http://127.0.0.1:9/",
        "EDGED_SPOOL": str(folder),
        "EDGED_LOG_FORMAT": "json",
    }
    (tmp_path / "by-hand").mkdir()
    with Daemon(tmp_path, service) as first:
        first.until_told("running")
        (card,) = folder.glob("*.card")
        origin = card.stem.removeprefix("edged-")
        files = SpoolFolder(folder)
        kept = {files.switched("lab1", "front"): {"paused": True}, files.webhook(origin, "front"): {}}
        for path, content in kept.items():
            path.write_text(json.dumps(content))
        names: dict[str, Any] = json.loads(files.names(origin).read_text())
        with Daemon(tmp_path / "by-hand", service, environ={"EDGED_CAMERA": "back"}) as second:
            second.until_told("running")
            assert "same EDGED_NODE" in second.until_told("mqtt_spool_fails")["reason"]
            assert not second.told("file_of_camera_removed")
            assert second.stop() == 0
        assert [path for path in kept if not path.exists()] == []
        assert json.loads(files.names(origin).read_text()) == names
        assert first.stop() == 0


def test_who_began_beside_another_of_its_node_keeps_all_as_soon_as_that_has_gone(
    tmp_path: Path, demo_model: Path
) -> None:
    """A container that is started before the old one has ended."""
    folder = tmp_path / "spool"
    service = {
        "EDGED_SOURCE": "synthetic:?width=64&height=64&fps=20",
        "EDGED_MODEL": str(demo_model),
        "EDGED_MQTT_URL": "mqtt://127.0.0.1:9",
        "EDGED_SPOOL": str(folder),
        "EDGED_LOG_FORMAT": "json",
    }
    (tmp_path / "next").mkdir()
    with Daemon(tmp_path, service) as first:
        first.until_told("running")
        with Daemon(tmp_path / "next", service) as second:
            second.until_told("mqtt_spool_fails")
            assert first.stop() == 0
            assert second.until_told("node_taken_over")["node"] == "lab1"
            second.until_told("reloaded")
            assert second.until_told("mqtt_spool_recovered")["messages"], "which the first one has left"
            assert len(second.told("mqtt_spool_fails")) == 1
            assert second.stop() == 0
    assert len([*folder.glob("*.card")]) == 2


def test_a_process_that_was_stopped_in_its_turn_holds_up_no_start(tmp_path: Path, entered: Enter) -> None:
    with (tmp_path / "edged.lock").open("ab") as stopped, capture_logs() as logs:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        late = entered(settings("lab1"))
    assert not late.knows  # and so it removes nothing
    assert [(line["event"], line["reason"]) for line in logs] == [
        ("folder_not_shared", "another process has held edged.lock for 1 s")
    ]
    late.enter(tmp_path, settings("lab1"))
    assert late.knows


def test_a_process_that_was_stopped_in_its_turn_puts_a_take_over_off(tmp_path: Path, entered: Enter) -> None:
    first, second = entered(settings("a")), entered(settings("a", "back"))
    first.leave()
    with (tmp_path / "edged.lock").open("ab") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        assert not second.take_over()
        second.enter(tmp_path, settings("a", "back"))
        assert (second.has_node, second.knows) == (False, False), "a reload does not know better"
    assert (second.waits, second.take_over(), second.knows) == (True, True, True)
    second.leave()
    assert (second.waits, second.knows) == (False, False)


def test_of_another_node_nothing_is_known_where_nobody_can_look(tmp_path: Path, entered: Enter) -> None:
    first, second = entered(settings("a")), entered(settings("a", "back"))
    with (tmp_path / "edged.lock").open("ab") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        second.enter(tmp_path, settings("b", "back"))
    assert (first.has_node, second.has_node, second.knows) == (True, True, False)


def test_who_ends_its_turn_soon_is_waited_for(
    tmp_path: Path, entered: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    with (tmp_path / "edged.lock").open("ab") as turn:

        def sleep(wait_s: float) -> None:
            waits.append(wait_s)
            fcntl.flock(turn, fcntl.LOCK_UN)

        fcntl.flock(turn, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", sleep)
        assert entered(settings("lab1")).knows
    assert waits == [0.02]
