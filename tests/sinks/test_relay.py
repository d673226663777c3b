"""A camera's own video on its way to who watches: what they get, and what the slow lose."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import av
import pytest
from source_clips import make, number_of
from test_live_view import RUNNING, get, port

from edged.http.site import Site
from edged.settings.listener import parse
from edged.sinks.http import HttpSink
from edged.sources.packets.tap import StreamTap, Tap
from edged.video import relay as relay_module
from edged.video.relay import Receiver, Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FRAMES, GROUP = 50, 10


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(
        tmp_path_factory.mktemp("clips") / "clip.ts", frames=FRAMES, gop=GROUP, b_frames=0, scene_cuts=False
    )


@pytest.fixture
def relay() -> Relay:
    """One whose event loop is whoever calls."""
    return Relay(lambda function: function())


def feed(relay: Relay, *clips: Path, each: Callable[[int], object] = lambda _: None) -> Tap:
    """Hand on all packets of clips, each a connection; ``each`` gets a packet's number before it goes."""
    tap = Tap()
    tap.hand_to([relay])
    for clip in clips:
        with av.open(str(clip)) as container:
            through = StreamTap(tap, container.streams.video[0])
            for number, packet in enumerate(one for one in container.demux(video=0) if one.size):
                each(number)
                through.packet(packet)
            through.end()
    return tap


def taken(receiver: Receiver) -> bytes | None:
    """What waits, at once; None: nothing comes any more."""
    return asyncio.run(asyncio.wait_for(receiver.next(), 1.0))


def wanted(tap: Tap) -> bool:
    return tap.heard


def numbers(video: bytes | None) -> list[int]:
    """What the pictures of fragmented MP4 show."""
    assert video is not None
    with av.open(io.BytesIO(video), "r") as container:
        frames = list(container.decode(video=0))
    return [number_of(frame.to_ndarray(format="bgr24").astype("uint8")) for frame in frames]


def test_all_get_the_video_from_a_keyframe_on_until_the_camera_hangs_up(relay: Relay, clip: Path) -> None:
    with ExitStack() as viewers:
        early = viewers.enter_context(relay.watched())
        late: list[Receiver] = []

        def join(number: int) -> None:
            if number == GROUP + 3:
                late.append(viewers.enter_context(relay.watched()))

        feed(relay, clip, each=join)
        # The last one waits for the one after it.
        assert numbers(taken(early)) == list(range(FRAMES - 1))
        assert numbers(taken(late[0])) == list(range(2 * GROUP, FRAMES - 1))
        assert early.kind == late[0].kind == 'video/mp4; codecs="avc1.64000b"'
        assert taken(early) is None


def test_who_is_slow_loses_up_to_a_keyframe_and_is_bounded(
    relay: Relay, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_MOST_BYTES", clip.stat().st_size // 5)
    got = []
    with relay.watched() as slow, relay.watched() as quick:

        def read(number: int) -> None:
            if number > 1:
                got.append(taken(quick) or b"")
            if number == 2:
                taken(slow)  # it has begun, and then reads nothing any more

        feed(relay, clip, each=read)
        rest = taken(slow)
    assert rest is not None
    assert len(rest) < clip.stat().st_size // 3
    whole = b"".join(got)
    assert numbers(whole) == list(range(FRAMES - 2)), "nobody else loses anything"
    shown = numbers(whole[: whole.index(b"moof") - 4] + rest)
    assert shown[0] in range(GROUP, FRAMES, GROUP)
    assert shown == list(range(shown[0], FRAMES - 1))


def test_who_was_slow_from_the_beginning_has_a_header_all_the_same(
    relay: Relay, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_MOST_BYTES", clip.stat().st_size // 5)
    with relay.watched() as slow:
        feed(relay, clip)
        shown = numbers(taken(slow))
    assert shown[0] in range(GROUP, FRAMES, GROUP)


def test_packets_are_wanted_only_while_somebody_watches(relay: Relay, clip: Path) -> None:
    tap = feed(relay, clip)
    assert not wanted(tap)
    with relay.watched():
        assert wanted(tap)
        relay.pause(True)
        assert not wanted(tap)
        with relay.watched() as another:
            assert taken(another) is None
        relay.pause(False)
        assert wanted(tap)
    assert not wanted(tap)
    assert relay.clock is None


@pytest.mark.parametrize("codec", ["libx265", "mjpeg"])
def test_what_browsers_do_not_play_is_not_waited_for(relay: Relay, tmp_path: Path, codec: str) -> None:
    other = make(tmp_path / "clip.mkv", codec=codec, frames=3)
    with relay.watched() as receiver:
        feed(relay, other)
        assert taken(receiver) is None


def test_another_size_is_another_file(relay: Relay, tmp_path: Path) -> None:
    parts = [
        make(tmp_path / f"{n}.h264", frames=20, size=size) for n, size in enumerate([(160, 96), (320, 192)])
    ]
    both = tmp_path / "both.h264"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    with ExitStack() as viewers:
        first = viewers.enter_context(relay.watched())
        second: list[Receiver] = []

        def come_again(number: int) -> None:
            if number == 20:
                second.append(viewers.enter_context(relay.watched()))

        feed(relay, both, each=come_again)
        for receiver, size in ((first, (160, 96)), (second[0], (320, 192))):
            video = taken(receiver)
            assert taken(receiver) is None
            assert video is not None
            with av.open(io.BytesIO(video), "r") as container:
                assert {(one.width, one.height) for one in container.decode(video=0)} == {size}


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    opened = HttpSink(Site(parse("127.0.0.1:0"), token=None), has_video=True)
    opened.open()
    opened.state(RUNNING)
    try:
        yield opened
    finally:
        opened.close()


def test_those_that_hang_hold_up_neither_the_camera_nor_who_watches(sink: HttpSink, clip: Path) -> None:
    relay = sink.listener
    assert relay is not None
    hanging = []
    for _ in range(20):
        one = socket.create_connection(("127.0.0.1", port(sink)))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(b"GET /stream.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        hanging.append(one)
    deadline = time.monotonic() + 10
    while not relay.listens:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    longest = 0.0
    before = time.monotonic()

    def measure(_: int) -> None:
        nonlocal longest, before
        longest = max(longest, time.monotonic() - before)
        before = time.monotonic()

    for _ in range(5):
        feed(relay, clip, each=measure)
    assert longest < 0.5, "a packet waits for nobody"
    for one in hanging:
        one.settimeout(5.0)
        with suppress(ConnectionResetError):
            assert one.recv(64).startswith(b"HTTP/1.1 20")
        one.close()
    deadline = time.monotonic() + 10
    while relay.listens:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_there_is_none_where_the_source_gives_pictures() -> None:
    opened = HttpSink(Site(parse("127.0.0.1:0"), token=None))
    opened.open()
    try:
        assert opened.listener is None
        status, _, body = get(opened, "/stream.mp4")
        assert (status, body) == (204, b"")
        assert b'"video":null' in get(opened, "/now.json")[2]
    finally:
        opened.close()
