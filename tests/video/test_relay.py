"""A camera's own video on its way to who watches: what they get, and what the slow lose."""

from __future__ import annotations

import asyncio
import gc
import io
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import av
import pytest
from daemon import until
from loaded import load
from source_clips import make, number_of
from viewing import RUNNING, get, port, serving

from edged import sources
from edged.http.site import Site
from edged.settings.listener import parse
from edged.sinks.http import HttpSink
from edged.sources.packets.tap import StreamTap, Tap, form_of
from edged.video import mp4
from edged.video import relay as relay_module
from edged.video.copying import Timeline
from edged.video.encoder import Packet
from edged.video.mp4 import Mp4Muxer
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
    return asyncio.run(asyncio.wait_for(receiver.next(), 20.0))


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


def test_who_has_time_again_before_the_next_keyframe_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_MOST_BYTES", 10)
    receiver = Receiver()

    def put(fragment: bytes, *, keyframe: bool) -> None:
        receiver.put(fragment, b"header ", "video/mp4", keyframe=keyframe)

    async def come_back() -> bytes | None:
        coming = asyncio.create_task(receiver.next())
        await asyncio.sleep(0)
        assert not coming.done(), "that it is gone is not the end"
        put(b"keyframe", keyframe=True)
        return await asyncio.wait_for(coming, 10)

    put(b"more than may wait", keyframe=True)
    put(b"lost", keyframe=False)
    assert asyncio.run(come_back()) == b"header keyframe"
    put(b"next", keyframe=False)
    receiver.end()
    assert taken(receiver) == b"next"
    assert taken(receiver) is None


def test_nothing_is_remembered_of_what_was_shown(clip: Path) -> None:
    """A screen on a wall watches for months, and the index of other files grows with every picture."""
    times = Timeline()
    with av.open(str(clip)) as container:
        form = form_of(container.streams.video[0])
        packets = []
        for number, packet in enumerate(one for one in container.demux(video=0) if one.size):
            dts, pts = times.follow(packet, number / 25, anew=not number)
            packets.append(Packet(bytes(packet), pts, packet.is_keyframe, dts, form))
    for live in (False, True):
        muxer = Mp4Muxer(packets[0], live=live)
        for one in packets:
            muxer.add(one)
        assert bool(muxer.finish()[1]) is not live


def test_no_muxer_waits_for_the_collector(relay: Relay, clip: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        with relay.watched():
            feed(relay, clip)
        with relay.watched():
            feed(relay, clip, each=lambda number: relay.pause(number > GROUP))
        pipe = mp4._Pipe  # noqa: SLF001  # what each has one of
        assert not [one for one in gc.get_objects() if isinstance(one, pipe)]
    finally:
        gc.enable()


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
    assert relay.second(time.monotonic()) is None


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
    with serving(has_video=True) as opened:
        opened.state(RUNNING)
        yield opened


def test_those_that_hang_hold_up_neither_the_camera_nor_who_watches(sink: HttpSink, clip: Path) -> None:
    relay = sink.listener
    assert relay is not None
    hanging = []
    for _ in range(20):
        one = socket.create_connection(("127.0.0.1", port(sink)))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(b"GET /stream.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        hanging.append(one)
    until(lambda: relay.listens)
    longest = 0.0
    before = time.monotonic()

    def measure(_: int) -> None:
        nonlocal longest, before
        longest = max(longest, time.monotonic() - before)
        before = time.monotonic()

    for _ in range(5):
        feed(relay, clip, each=measure)
    assert longest < 5, "a packet waits for nobody, who hangs for ten seconds"
    for one in hanging:
        one.settimeout(60.0)
        with suppress(ConnectionResetError):
            assert one.recv(64).startswith(b"HTTP/1.1 20")
        one.close()
    until(lambda: not relay.listens)


def test_who_watches_is_sent_home_when_a_reload_leaves_no_video(sink: HttpSink) -> None:
    relay = sink.listener
    assert relay is not None
    site = sink._site  # noqa: SLF001  # as a reload has it: both on the one site
    with socket.create_connection(("127.0.0.1", port(sink)), timeout=10) as viewer:
        viewer.sendall(b"GET /stream.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: relay.listens)
        following = HttpSink(site, give_back=lambda: None)
        following.open()
        assert viewer.recv(64).startswith(b"HTTP/1.1 204"), "and does not wait for what will not come"
        following.close()


def test_of_two_streams_the_one_that_is_recorded_is_shown() -> None:
    for detect in ("/dev/video0", "rtsp://camera/sub"):
        settings = load(EDGED_SOURCE="rtsp://camera/main", EDGED_DETECT_SOURCE=detect)
        assert sources.gives_packets(sources.looked_at(settings))
    settings = load(EDGED_SOURCE="/dev/video0")
    assert not sources.gives_packets(sources.looked_at(settings))


def test_there_is_none_where_the_source_gives_pictures() -> None:
    opened = HttpSink(Site(parse("127.0.0.1:0"), token=None))
    opened.open()
    try:
        assert opened.listener is None
        status, _, body = get(opened, "/stream.mp4")
        assert (status, body) == (204, b"")
        assert get(opened, "/now.json")[2] == b'{"objects":null}'
    finally:
        opened.close()
