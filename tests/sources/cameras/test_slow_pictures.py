"""A decoder too slow for Motion JPEG over HTTP: pictures stay fresh, and all are accounted for."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from source_clips import number_of
from web_server import answering, head, part, rising, source_of

from edged.errors import SourceError
from edged.pixels import bgr
from edged.sources.cameras import web, web_pictures
from edged.sources.cameras.web_pictures import WebPictures
from edged.sources.decoding.container import JpegDecoder
from edged.sources.decoding.skipping import Skipping
from edged.sources.pace import Pace
from edged.sources.stream import StreamSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

    from edged.pixels import Pixels


class Slow(JpegDecoder):
    """Of 50 pictures a second it can do 15."""

    def decoded(self, jpeg: bytes) -> Pixels:
        """Slowly."""
        time.sleep(0.065)
        return super().decoded(jpeg)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a camera has sent each of its pictures."""
    monkeypatch.setattr(web_pictures, "JpegDecoder", Slow)
    return []


@pytest.fixture
def url(sent: list[float]) -> Iterator[str]:
    """A camera that sends 50 a second, and one in ten of them damaged, as many as the network takes."""

    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        head(handler, "multipart/x-mixed-replace; boundary=frame")
        while True:
            number = len(sent)
            sent.append(time.monotonic())
            whole = part(number, length=-1)
            handler.wfile.write(whole[: len(whole) // 2] if number % 10 == 9 else whole)
            time.sleep(0.02)

    with answering(reply) as (where, _):
        yield where


def test_pictures_do_not_grow_old_before_a_decoder_that_is_too_slow(url: str, sent: list[float]) -> None:
    numbers, ages = [0], []
    with source_of(url) as source:
        assert isinstance(source, StreamSource)
        for frame in source.frames():
            numbers.append(number_of(frame.image))
            ages.append(time.monotonic() - sent[numbers[-1]])
            if numbers[-1] > 150:
                break
        skipped, problem = dict(source.skipped), source.degraded
    assert rising(numbers[1:])
    # Seven seconds, if all were decoded; a single one may have met a pause of the machine.
    assert min(ages[-5:]) < 1.0
    assert "does not keep up" in problem
    assert skipped["behind"] > 20
    assert 5 < skipped["corrupt"] < 20
    # What came and is in no account is in hand.
    assert 0 <= len(ages) + sum(skipped.values()) - numbers[-1] <= 4


def test_a_camera_that_has_to_wait_loses_no_picture(url: str) -> None:
    with source_of(url, policy="all") as source:
        frames = source.frames()
        numbers = [number_of(next(frames).image) for _ in range(20)]
        assert source.skipped["behind"] == 0
    assert numbers == [number for number in range(30) if number % 10 != 9][:20]


def test_the_newest_picture_is_given_before_the_end_of_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web_pictures, "_BEHIND_S", -1.0)
    monkeypatch.setattr(web.Answer, "waiting", True)  # the end is never far

    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        head(handler, "multipart/x-mixed-replace; boundary=frame")
        handler.wfile.write(b"".join(part(number) for number in range(5)))

    skipped = Counter[str]()
    skipping = Skipping(Pace(None), skipped)
    skipping.live = True
    with answering(reply) as (url, _):
        answer = web.ask(url, timeout_s=5)
        assert answer is not None
        pictures = WebPictures(
            answer,
            again=lambda: answer,
            name="it",
            hint="",
            period_s=1.0,
            read_s=5.0,
            strict=True,
            skipping=skipping,
        )
        numbers = []

        def read_on() -> None:
            while True:
                if pictures.grab():
                    numbers.append(number_of(bgr(pictures.pixels())))

        with pytest.raises(SourceError, match="it has ended"):
            read_on()
        pictures.close()
    assert numbers[-1] == 4
    assert len(numbers) + skipped["behind"] == 5
