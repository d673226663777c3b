"""What comes from outside, one function for each way in: bytes in, nothing but edged's own errors out.

Used by ``make fuzz``, which looks for bytes that break them, and by the tests, which try what was found.
"""

from __future__ import annotations

import io
import logging
import shutil
import socket
import tempfile
import zipfile
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import flatbuffers
import numpy as np
from door import Door

from edged.errors import ConfigError, ModelError, SourceError
from edged.http.site import Site
from edged.model import file as modelfile
from edged.model.labels import parse
from edged.mqtt.commands import Commands
from edged.mqtt.delivery.message import Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.link.client import BrokerAccess
from edged.mqtt.link.experience import Ending, Experience
from edged.mqtt.link.session import Session
from edged.mqtt.link.waker import Waker
from edged.settings.broker import Broker
from edged.settings.listener import parse as parse_listener
from edged.settings.loading import load_all
from edged.sinks.http import HttpSink
from edged.sources.connection import Damaged
from edged.sources.file import FileSource
from edged.sources.packets.jpegs import JpegSplitter
from edged.video.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(tempfile.mkdtemp(prefix="edged-fuzz-"))
SUFFIXES = (".mp4", ".jpg", ".png", ".bmp", ".mkv", ".h264", ".avi", ".tiff")
FRAMES = 5
"""As many of a clip are decoded."""


def model(data: bytes) -> None:
    """A .tflite and what is attached to it."""
    path = FOLDER / "model.tflite"
    path.write_bytes(data)
    with suppress(ModelError, ConfigError):
        modelfile.read(path)


def labels(data: bytes) -> None:
    """A labels file of any form."""
    with suppress(ValueError):
        names = parse(data).names
        assert any(names)
        assert len(names) <= 1_000_000


def settings(data: bytes) -> None:
    """An env file."""
    path = FOLDER / "edged.env"
    path.write_bytes(data)
    with suppress(ConfigError):
        load_all(path, {})


def media(data: bytes) -> None:
    """A clip or a picture; the first byte chooses the name that it has."""
    path = FOLDER / f"media{SUFFIXES[data[0] % len(SUFFIXES)] if data else '.mp4'}"
    path.write_bytes(data[1:])
    source = FileSource(str(path))
    with suppress(SourceError):
        source.open()
        for frame in islice(source.frames(), FRAMES):
            assert frame.image.ndim == 3
    source.close()


def pictures(data: bytes) -> None:
    """A stream of JPEGs in pieces, as a camera sends it; the first byte says how long the pieces are."""
    size = 1 + data[0] if data else 1
    splitter = JpegSplitter(lenient=bool(size % 2))
    for at in range(1, len(data), size):
        splitter.feed(data[at : at + size])
        while True:
            try:
                if splitter.take() is None:
                    break
            except Damaged:
                pass


class Ears:
    """Asks for commands once there is a session."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def connected(self, session: Session) -> None:
        session.subscribe("t/cmd/+", self._commands.handle)

    def acknowledged(self, message: Any) -> None: ...


ACCEPTED = b"\x20\x03\x00\x00\x00"
_door: list[tuple[Door, Waker]] = []


def packets(data: bytes) -> None:
    """What a broker sends once it has accepted us. What paho raises ends the session, and no more."""
    if not _door:
        _door.append((Door(polite=True), Waker()))
    door, waker = _door[0]
    door.says = ACCEPTED + data
    outbox = Outbox(limit=10, wake=waker.ring, orders=Numbers(1))
    session = Session(
        BrokerAccess(Broker("127.0.0.1", door.port), "edged-fuzz"),
        outbox,
        waker,
        Ears(Commands(lambda name: f"t/cmd/{name}", outbox, lambda *_: "done")),
        ending=Ending(),
        experience=Experience(),
        availability="t/availability",
    )
    for number in range(5):
        outbox.put("t", b"%d" % number)
    try:
        session.run()
    except Exception as error:
        if _raised_by_edged(error):
            raise
    finally:
        outbox.detach()
    assert outbox.delivery().closes


def _raised_by_edged(error: Exception) -> bool:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is None or "/edged/" in traceback.tb_frame.f_code.co_filename


class Complaints(logging.Handler):
    """What the web server could not handle."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


_site: list[tuple[HttpSink, Complaints]] = []


def request(data: bytes) -> None:
    """What a browser sends, or whoever has found the port."""
    if not _site:
        complaints = Complaints()
        logging.getLogger("tornado").addHandler(complaints)
        archive = Archive(FOLDER)
        sink = HttpSink(Site(parse_listener("127.0.0.1:0"), token="open-sesame-" * 4), archive=archive)
        sink.open()
        _site.append((sink, complaints))
    sink, complaints = _site[0]
    port = int(sink.url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(5)
        with suppress(ConnectionError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
    assert not complaints.heard, complaints.heard.pop()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (model, labels, settings, media, pictures, packets, request)
}


def close() -> None:
    """Let go of what was opened on the way."""
    while _door:
        door, waker = _door.pop()
        door.close()
        waker.close()
    while _site:
        _site.pop()[0].close()
    shutil.rmtree(FOLDER, ignore_errors=True)


def beginnings(name: str) -> list[bytes]:
    """Whole inputs to begin with."""
    made: dict[str, Callable[[], list[bytes]]] = {
        "model": _models,
        "labels": lambda: [
            b"person\ncar\n",
            b"0 person\n2  car\n",
            b'item {\n  id: 1\n  name: "/m/1"\n  display_name: "person"\n}\n',
            b"names:\n  0: person\n  1: 'car'\n",
            b'names: [person, "car"]\nnc: 2\n',
        ],
        "settings": lambda: [
            b"EDGED_MODEL=/m.tflite\nEDGED_SOURCE=rtsp://u:p@h/s\nEDGED_ZONE_PORCH=0,0 1,0 1,1\n",
            b"export EDGED_CAMERAS='front,back'\nEDGED_FRONT_SOURCE=a.mp4\nEDGED_BACK_SOURCE=\"b.mp4\"\n",
            b"EDGED_MQTT_URL=mqtts://u:p%40@h:8883\nEDGED_SCORES=person:0.6,car:0.5\nEDGED_FPS=5 # few\n",
            b"EDGED_LINE_GATE=0.1,0.5 0.9,0.5\nEDGED_MASK_TREE=0,0 1,0 1,1\nEDGED_AREAS=person:0.1-0.5\n",
        ],
        "media": _media,
        "pictures": lambda: [b"\x10--x\r\n\r\n" + media[1:] + b"\r\n--x\r\n" for media in _media()[1:2]],
        "packets": lambda: [
            b"\x30\x0b\x00\x07t/cmd/pause",
            b"\x32\x0f\x00\x0bt/cmd/pause\x00\x01\x00{}",
            b"\x40\x03\x00\x01\x87\x90\x04\x00\x01\x00\x00",
            b"\xe0\x02\x8b\x00",
            b"\x30\xff\xff\xff\x7f\x00\x01t",
        ],
        "request": lambda: [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /live.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n",
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\ntoken=x",
            b"GET /recordings/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-5\r\n\r\n",
        ],
    }
    return made[name]()


def _models() -> list[bytes]:
    """A graph of one tensor and nothing else, with what is attached behind it."""
    graph = flatbuffers.Builder(64)
    name = graph.CreateString("main")
    graph.StartObject(5)
    graph.PrependUOffsetTRelativeSlot(4, name, 0)
    subgraph = graph.EndObject()
    graph.StartVector(4, 1, 4)
    graph.PrependUOffsetTRelative(subgraph)
    subgraphs = graph.EndVector()
    graph.StartObject(8)
    graph.PrependUint32Slot(0, 3, 0)
    graph.PrependUOffsetTRelativeSlot(2, subgraphs, 0)
    graph.Finish(graph.EndObject(), file_identifier=b"TFL3")
    data = bytes(graph.Output()).ljust(64, b"\0")
    attached = io.BytesIO()
    with zipfile.ZipFile(attached, "w") as archive:
        archive.writestr("metadata.json", '{"names": {"0": "person"}, "task": "detect"}')
        archive.writestr("labels.txt", "person\n")
    return [data, data + attached.getvalue()]


def _media() -> list[bytes]:
    """A short clip and a picture in several forms, each behind the byte that chooses its name."""
    image = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    made = []
    for number, suffix in enumerate(SUFFIXES):
        if suffix in {".mp4", ".mkv", ".avi", ".h264"}:
            path = FOLDER / f"whole{suffix}"
            with av.open(str(path), "w", format="h264" if suffix == ".h264" else None) as container:
                stream = container.add_stream("libx264" if suffix != ".avi" else "mjpeg", rate=5)
                assert isinstance(stream, av.VideoStream)
                stream.width, stream.height = 48, 32
                stream.pix_fmt = "yuvj420p" if suffix == ".avi" else "yuv420p"
                for _ in range(3):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
                container.mux(stream.encode(None))
            content = path.read_bytes()
        else:
            content = cv2.imencode(suffix, image)[1].tobytes()
        made.append(bytes([number]) + content)
    return made
