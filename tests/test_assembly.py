"""Open parts: what a reload keeps, what it opens anew, and what is closed when."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from around import Around
from source_clips import make, over_udp

from edged import registry
from edged.daemon import assembly
from edged.errors import ConfigError, EdgedError, ModelError, SinkError, SourceError
from edged.metrics import Ledger, Meter
from edged.settings import loading
from edged.sinks import NoControl
from edged.sources.packets.tap import Tapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edged.daemon.assembly import Assembly


class World:
    """The surroundings of a daemon, which note what is opened and closed."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.folder = folder
        self.settings = {
            "EDGED_SOURCE": "synthetic:?live=false",
            "EDGED_MODEL": str(model),
            "EDGED_JSONL": str(folder / "lines.jsonl"),
            "EDGED_OUTPUT": str(folder / "out.mp4"),
        }
        self.daemon = Around()
        self.did = self.daemon.did

    async def build(
        self, changes: Mapping[str, str] | None = None, *, previous: Assembly | None = None
    ) -> Assembly:
        settings = loading.load(None, self.settings | dict(changes or {}))
        around = assembly.Surroundings(self.daemon, Meter(), Ledger(), NoControl())
        return await assembly.build(settings, around, previous=previous)

    async def close(self, parts: Assembly, **but: Any) -> None:
        assert await self.daemon.close(parts.closers(**but)) is None


@pytest.fixture
def world(demo_model: Path, tmp_path: Path) -> World:
    """Nothing is open yet."""
    return World(demo_model, tmp_path)


def test_parts_are_opened_in_order_and_closed_in_reverse(world: World) -> None:
    async def live() -> None:
        parts = await world.build()
        assert parts.detector.model.name == "face_detection_full_range_sparse"
        assert [outlet.sink.name for outlet in parts.outlets] == ["jsonl", "video"]
        await world.close(parts)

    asyncio.run(live())
    opened = ["open-detector", "open-source", "open-jsonl", "open-output"]
    assert world.did == [*opened, *(name.replace("open", "close") for name in reversed(opened))]
    assert list(world.folder.iterdir()) == [], "what no frame came to leaves no file"


@pytest.mark.parametrize(
    ("changes", "kind", "opened"),
    [
        ({"EDGED_MODEL": "/nowhere.tflite"}, ModelError, []),
        ({"EDGED_SOURCE": "/nowhere.mp4"}, SourceError, ["detector"]),
        ({"EDGED_JSONL": "/nowhere/lines.jsonl"}, SinkError, ["detector", "source"]),
        ({"EDGED_OUTPUT": "/nowhere/out.mp4"}, SinkError, ["detector", "source", "jsonl"]),
    ],
)
def test_what_was_opened_is_closed_again_if_something_cannot_be(
    world: World, changes: dict[str, str], kind: type[EdgedError], opened: list[str]
) -> None:
    with pytest.raises(kind, match="nowhere"):
        asyncio.run(world.build(changes))
    closed = [name for name in world.did if name.startswith("close")]
    assert closed == [f"close-{name}" for name in reversed(opened)]
    assert list(world.folder.iterdir()) == []


def test_a_region_that_no_frame_has_is_refused_where_the_size_of_frames_is_known(world: World) -> None:
    with pytest.raises(ConfigError, match=r"EDGED_ROI begins at 640,0, outside the frame of 640x480"):
        asyncio.run(world.build({"EDGED_ROI": "640,0,10,10"}))
    assert world.did[2:] == ["close-source", "close-detector"]


@pytest.mark.parametrize(
    ("changes", "opened"),
    [
        ({}, []),
        ({"EDGED_SCORE_THRESHOLD": "0.7"}, ["detector"]),
        ({"EDGED_WORKERS": "2"}, ["detector"]),
        ({"EDGED_SOURCE": "synthetic:?live=false&width=64"}, ["detector", "source"]),
        ({"EDGED_JSONL": "other.jsonl"}, ["jsonl"]),
        ({"EDGED_STATS_INTERVAL": "3", "EDGED_MAX_AGE": "2", "EDGED_LOG_LEVEL": "debug"}, []),
    ],
)
def test_a_reload_opens_only_what_its_settings_have_changed(
    world: World, changes: dict[str, str], opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)

    async def reload() -> None:
        present = await world.build()
        before = {name: part.thing for name, part in present.parts.items()}
        world.did.clear()
        following = await world.build(changes, previous=present)
        assert world.did == [f"open-{name}" for name in opened]
        for name, part in following.parts.items():
            assert (part.thing is before[name]) is (name not in opened)
        world.did.clear()
        await world.close(present, but=following)
        assert world.did == [f"close-{name}" for name in reversed(opened)]
        await world.close(following)

    asyncio.run(reload())


@pytest.mark.parametrize(
    "changes",
    [
        {"EDGED_SOURCE": "{}/a.mp4"},
        {"EDGED_OUTPUT": "{}/a.mp4"},
        {"EDGED_OUTPUT": "{}"},
        {"EDGED_JSONL": "{}/a"},
    ],
)
def test_what_we_may_not_look_into_is_told_as_such(world: World, changes: dict[str, str]) -> None:
    """The service sees nothing in /home."""
    inside = world.folder / "closed" / "inside"
    inside.mkdir(parents=True)
    inside.parent.chmod(0)
    build = world.build({name: value.format(inside) for name, value in changes.items()})
    with as_nobody(), pytest.raises((SourceError, SinkError), match="Permission denied"):
        asyncio.run(build)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, if we have them."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_reload_that_takes_a_sink_away_closes_it_and_no_other(world: World) -> None:
    async def reload() -> None:
        present = await world.build()
        world.did.clear()
        following = await world.build({"EDGED_JSONL": ""}, previous=present)
        assert [outlet.sink.name for outlet in following.outlets] == ["video"]
        await world.close(present, but=following)
        assert world.did == ["close-jsonl"]
        await world.close(following)

    asyncio.run(reload())


def test_a_reload_that_fails_leaves_everything_as_it_was(world: World) -> None:
    async def reload() -> None:
        present = await world.build()
        world.did.clear()
        with pytest.raises(SinkError):
            await world.build(
                {"EDGED_SCORE_THRESHOLD": "0.7", "EDGED_OUTPUT": "/nowhere/out.mp4"}, previous=present
            )
        assert world.did == ["open-detector", "open-output", "close-detector"]
        # The engine of the present one still works.
        tensor = present.detector.preprocess.new_input()
        tensor.fill(0)
        assert len(present.detector.engines[0].invoke(tensor)) == 2
        await world.close(present)

    asyncio.run(reload())


def test_a_take_over_opens_anew_only_what_keeps_something(world: World) -> None:
    changes = {
        "EDGED_MQTT_URL": "mqtt://127.0.0.1:9",
        "EDGED_SPOOL": str(world.folder),
        "EDGED_STOP_TIMEOUT": "1",
    }
    owner = world.daemon.lender.owner

    async def take_over() -> None:
        owner.has_node = False
        present = await world.build(changes)
        owner.has_node = True
        world.did.clear()
        following = await world.build(changes, previous=present)
        assert world.did == ["open-mqtt_url"]
        assert following.config_hash == present.config_hash
        await world.close(present, but=following)
        await world.close(following)

    asyncio.run(take_over())


def test_what_a_stuck_thread_still_uses_is_not_closed(world: World) -> None:
    async def live() -> None:
        parts = await world.build()
        await world.close(parts, stuck=("capture", "predict-1", "sink-video"))

    asyncio.run(live())
    assert [name for name in world.did if name.startswith("close")] == ["close-jsonl"]


def test_a_camera_that_opens_only_once_is_told_as_such(world: World) -> None:
    """A network camera that serves one client: the second opening by a reload is refused."""
    server = subprocess.Popen(
        [sys.executable, "-c", _ONE_CLIENT], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(server.stdout.readline())}/"

    async def reload() -> None:
        present = await world.build({"EDGED_SOURCE": url})
        with pytest.raises(SourceError, match="a second time beside the one in use") as caught:
            await world.build({"EDGED_SOURCE": url, "EDGED_OPEN_TIMEOUT": "2"}, previous=present)
        assert "Restart edged" in caught.value.hint
        await world.close(present)

    try:
        asyncio.run(reload())
    finally:
        server.kill()
        server.wait(10)
        server.stdout.close()


_ONE_CLIENT = f"""
import socket, sys, time
sys.path.insert(0, {str(Path(__file__).parent / "sources")!r})
from mjpeg_server import part, picture
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
client, _ = listening.accept()
listening.close()
client.recv(4096)
client.sendall(b"HTTP/1.0 200 OK\\r\\n")
client.sendall(b"Content-Type: multipart/x-mixed-replace; boundary=edgedtest\\r\\n\\r\\n")
for number in range(100000):
    client.sendall(part(picture(number, (64, 64))))
    time.sleep(0.02)
"""


@pytest.mark.parametrize(
    ("source", "policy", "waits"),
    [
        ("synthetic:?live=false", "auto", True),
        ("synthetic:?live=true", "auto", False),
        ("synthetic:?live=true", "all", True),
        ("synthetic:?live=false", "latest", False),
    ],
)
def test_the_policy_says_who_waits(world: World, source: str, policy: str, *, waits: bool) -> None:
    async def live() -> None:
        parts = await world.build({"EDGED_SOURCE": source, "EDGED_POLICY": policy})
        assert parts.intake.waits is waits
        await world.close(parts)

    asyncio.run(live())


def test_every_sink_of_the_registry_is_opened_by_its_setting(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        changes = {
            "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{port}",
            "EDGED_STOP_TIMEOUT": "1",
            "EDGED_HTTP": "127.0.0.1:0",
            "EDGED_WEBHOOK_URL": f"http://127.0.0.1:{port}/",
            "EDGED_EVENTS_JSONL": str(world.folder / "events.jsonl"),
        }

        async def live() -> None:
            parts = await world.build(changes)
            sinks = [name for name in parts.parts if name in registry.SINKS]
            assert sinks == list(registry.SINKS)
            assert len(parts.outlets) == len(registry.SINKS)
            await world.close(parts)

        asyncio.run(live())


def test_a_class_that_the_model_does_not_know_is_refused_with_those_it_knows(world: World) -> None:
    with pytest.raises(ConfigError, match="'person'") as caught:
        asyncio.run(world.build({"EDGED_CLASSES": "person"}))
    assert "face" in caught.value.hint


def test_a_reload_leaves_no_gap_in_the_packets_of_a_camera_that_it_keeps(
    world: World, tmp_path: Path
) -> None:
    clip = make(tmp_path / "clip.ts", frames=50, b_frames=0)

    async def live() -> None:
        present = await world.build()
        present.connect()
        following = await world.build({"EDGED_IOU_THRESHOLD": "0.4"}, previous=present)
        source = following.intake.source
        assert source is present.intake.source
        assert isinstance(source, Tapped)
        present.disconnect(but=following)
        assert source.tap.heard
        following.connect()
        await world.close(present, but=following)
        await world.close(following)

    with over_udp(clip) as url:
        world.settings |= {"EDGED_SOURCE": url, "EDGED_OUTPUT": str(tmp_path / "out"), "EDGED_RECORD": "copy"}
        asyncio.run(live())
