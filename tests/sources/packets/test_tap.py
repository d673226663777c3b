"""Packets as cameras send them, handed on before they are decoded."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import av
import cameras
import pytest
from daemon import until
from source_clips import joined_flv, make, numbered

from edged.backoff import Backoff
from edged.errors import SourceError
from edged.imaging.jpeg import encoded
from edged.sources.cameras.beside import PassingStream
from edged.sources.cameras.reader import Deadlines
from edged.sources.decoding.container import Container
from edged.sources.packets.jpegs import jpeg_size
from edged.sources.packets.tap import JpegTap, StreamTap, Tap
from edged.sources.stream import StreamCamera, StreamSource

if TYPE_CHECKING:
    from pathlib import Path

    from edged.sources.packets.tap import PacketForm


class Listener:
    """Keeps what it hears."""

    listens = True

    def __init__(self) -> None:
        self.packets: list[tuple[bytes, bool]] = []
        self.forms: list[PacketForm] = []
        self.threads: set[str] = set()
        self.ended = 0

    def packet(self, packet: av.Packet[Any], form: PacketForm) -> None:
        self.packets.append((bytes(packet), packet.is_keyframe))
        self.threads.add(threading.current_thread().name)
        if form not in self.forms:
            self.forms.append(form)

    def connection_ended(self) -> None:
        self.ended += 1


class ClipCamera:
    """Gives the packets of a clip, and fails at its end."""

    name = "the clip"

    def __init__(self, clip: Path) -> None:
        self.tap = Tap()
        self._clip = clip
        self._media: Container | None = None

    def open(self) -> None:
        self._media = Container(str(self._clip), name=self.name, hint="", tap=self.tap)

    def pass_on(self) -> None:
        assert self._media is not None
        try:
            self._media.pass_on()
        except EOFError:
            raise SourceError("the clip has ended") from None

    def interrupt(self) -> None:
        """It never waits."""

    def close(self) -> None:
        assert self._media is not None
        self._media.close()


def heard(origin: str) -> tuple[Listener, int]:
    """What a listener hears of a file, and how many pictures were decoded."""
    listener, tap, pictures = Listener(), Tap(), 0
    tap.hand_to([listener])
    with Container(origin, name="it", hint="", tap=tap) as container:
        while True:
            try:
                pictures += container.grab()
            except EOFError:
                break
    return listener, pictures


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mjpeg"])
def test_every_packet_is_handed_on_and_every_picture_decoded(tmp_path: Path, codec: str) -> None:
    listener, pictures = heard(str(make(tmp_path / "clip.mkv", codec=codec)))
    assert (len(listener.packets), pictures, listener.ended) == (50, 50, 1)
    assert listener.packets[0][1]
    (form,) = listener.forms
    assert (form.width, form.height) == (160, 96)
    assert form.template is not None
    assert form.template.codec_context.name == form.codec


def test_a_stream_that_goes_on_in_another_size_has_another_form(tmp_path: Path) -> None:
    parts = [
        make(tmp_path / f"{n}.h264", frames=20, size=size) for n, size in enumerate([(160, 96), (320, 192)])
    ]
    both = tmp_path / "both.h264"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    listener, _ = heard(str(both))
    assert [(form.width, form.height) for form in listener.forms] == [(160, 96), (320, 192)]
    assert len(listener.packets) == 40


def test_a_stream_that_goes_on_in_another_codec_has_another_form(tmp_path: Path) -> None:
    """A camera that sends by UDP and begins anew: nobody but its packets tells."""
    parts = [
        make(tmp_path / f"{n}.ts", frames=20, codec=codec) for n, codec in enumerate(["libx264", "libx265"])
    ]
    for order in (parts, parts[::-1]):
        listener, tap = Listener(), Tap()
        tap.hand_to([listener])
        with av.open(str(order[0])) as first, av.open(str(order[1])) as second:
            # FFmpeg goes on giving them as packets of the stream that it has opened.
            through = StreamTap(tap, first.streams.video[0])
            for packet in itertools.chain(first.demux(), second.demux()):
                if packet.size:
                    through.packet(cast("av.Packet[Any]", packet))
        codecs = ["h264", "hevc"] if order is parts else ["hevc", "h264"]
        assert [form.codec for form in listener.forms] == codecs
        assert all(
            form.template and form.template.codec_context.name == form.codec for form in listener.forms
        )


@pytest.mark.parametrize("listens", [True, False])
def test_parameter_sets_that_come_beside_the_packets_make_another_form(
    tmp_path: Path, *, listens: bool
) -> None:
    sizes = [(160, 96), (320, 192), (160, 96)]
    parts = [make(tmp_path / f"{n}.flv", frames=20, size=size) for n, size in enumerate(sizes)]
    listener, tap, came = Listener(), Tap(), 0
    listener.listens = listens
    tap.hand_to([listener])
    joined = joined_flv(tmp_path / "joined.flv", *parts)
    with Container(str(joined), name="it", hint="", tap=tap) as container, suppress(EOFError):
        while True:
            container.pass_on()
            came += 1
            listener.listens = listens or came > 30
    heard = [(form.width, form.height) for form in listener.forms if form.template is not None]
    # Who listens later hears of what is, at the next keyframe.
    assert heard[-2:] == sizes[-2:]
    assert len(heard) == 3


@pytest.mark.parametrize("kind", ["mjpeg", "rtsp"])
def test_a_camera_hands_on_its_packets_from_its_own_thread(kind: str) -> None:
    server = cameras.mjpeg() if kind == "mjpeg" else cameras.rtsp()
    deadlines, listener = Deadlines(8.0, 1.0), Listener()
    with cameras.running(server):
        source = StreamSource(
            lambda: StreamCamera(server.url, transport="tcp", deadlines=deadlines), deadlines=deadlines
        )
        source.tap.hand_to([listener])
        source.open()
        for frame in source.frames():
            if frame.frame_id == 10:
                break
        source.close()
    assert len(listener.packets) > 10
    assert listener.threads == {"camera"}
    assert [(form.codec, form.width, form.height) for form in listener.forms] == [
        ("mjpeg" if kind == "mjpeg" else "h264", 320, 240)
    ]
    assert listener.ended == 1


def test_the_size_of_a_picture_is_read_off_its_header() -> None:
    jpeg = encoded(numbered(1, (64, 48)), 80)
    assert jpeg_size(jpeg) == (64, 48)
    assert jpeg_size(jpeg[:2] + b"\xff" + jpeg[2:]) == (64, 48), "filling may come before a marker"
    assert jpeg_size(jpeg[:20]) is None
    assert jpeg_size(b"\xff\xd8\xff\xe0\0\0") is None


def test_a_stream_that_is_lost_is_hung_up_before_the_wait_for_the_next_attempt(tmp_path: Path) -> None:
    """Who records it stores what it has when it hears of the end."""
    clip = make(tmp_path / "clip.ts", frames=20)
    ended = threading.Event()

    class Ending(Listener):
        def connection_ended(self) -> None:
            ended.set()

    stream = PassingStream(lambda: ClipCamera(clip), backoff=Backoff(3600.0, 3600.0, spread=0.0))
    stream.hand_to([Ending()])
    stream.open()
    try:
        assert ended.wait(30.0)
        assert "the clip has ended" in stream.problem
    finally:
        stream.close()


def test_a_stream_that_is_not_there_says_what_helps_and_says_it_once() -> None:
    stream = PassingStream(
        lambda: StreamCamera("tcp://127.0.0.1:9", transport="tcp", deadlines=Deadlines(5.0, 1.0)),
        backoff=Backoff(3600.0, 3600.0, spread=0.0),
    )
    stream.open()
    try:
        until(lambda: "cannot be opened" in stream.problem)
        with pytest.raises(SourceError) as refused:
            stream.wait(0.01)
        assert str(refused.value).count("ffprobe") == 1
    finally:
        stream.close()


def test_who_is_let_go_in_the_middle_of_a_packet_hears_of_the_end_after_it() -> None:
    """A recorder that took a packet after the end would leave its file open, for nobody tells it again."""
    heard: list[str] = []
    within, go_on = threading.Event(), threading.Event()

    class Slow(Listener):
        def packet(self, packet: av.Packet[Any], form: PacketForm) -> None:
            del packet, form
            within.set()
            assert go_on.wait(10)
            heard.append("packet")

        def connection_ended(self) -> None:
            heard.append("end")

    tap, listener = Tap(), Slow()
    tap.hand_to([listener])
    reads = threading.Thread(target=JpegTap(tap).jpeg, args=(encoded(numbered(1, (64, 48)), 80),))
    reads.start()
    assert within.wait(10)
    lets_go = threading.Thread(target=tap.hand_to, args=([],))
    lets_go.start()
    lets_go.join(0.05)  # it has its chance to come first
    go_on.set()
    lets_go.join(10)
    reads.join(10)
    assert heard == ["packet", "end"]


def test_a_stream_that_was_found_at_once_is_not_hurried_when_it_is_lost_again(tmp_path: Path) -> None:
    """It was asked for while it was being looked for: that wish is fulfilled by the first packet."""
    clip = make(tmp_path / "clip.ts", frames=20)
    opening, go_on = threading.Semaphore(0), threading.Semaphore(0)

    class Late(ClipCamera):
        def open(self) -> None:
            opening.release()
            assert go_on.acquire(timeout=30)
            super().open()

    stream = PassingStream(lambda: Late(clip), backoff=Backoff(3600.0, 3600.0, spread=0.0))
    stream.open()
    try:
        assert opening.acquire(timeout=30)
        stream.hurry()
        go_on.release()
        until(lambda: "has ended" in stream.problem)
        assert not opening.acquire(timeout=0.1), "it is looked for at once"
    finally:
        go_on.release()
        stream.close()


def test_a_stream_that_waits_to_be_tried_again_is_when_somebody_knows_better() -> None:
    tried = threading.Semaphore(0)

    def connect() -> StreamCamera:
        tried.release()
        return StreamCamera("tcp://127.0.0.1:9", transport="tcp", deadlines=Deadlines(5.0, 1.0))

    stream = PassingStream(connect, backoff=Backoff(3600.0, 3600.0, spread=0.0))
    stream.open()
    try:
        for _ in range(3):
            assert tried.acquire(timeout=30)
            stream.hurry()
        assert tried.acquire(timeout=30)
    finally:
        stream.close()
