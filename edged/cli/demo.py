"""``edged demo``: the whole job with nothing to set up."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.contract import event_lines, words
from edged.trial.demo import BASE, Demo

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from edged.trial.demo import DemoOutcome, Received

_LINES_A_TOPIC = 12
"""Enough to see what a topic is for."""
_JPEG = b"\xff\xd8"
_PAYLOAD = 90
"""Characters of a payload that are shown."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="folder for video, detections, settings and log (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the demo and tell what came of it."""
    demo = Demo.prepare(options.output)
    print(f"clip    {demo.clip}")
    print(f"model   {demo.model}")
    print(f"broker  127.0.0.1:{demo.port}, MQTT 3.1.1, until the demo ends")
    print(f"daemon  edged run --env-file {demo.env_file}")
    print(f"\nA subscriber to {BASE}/# sees:\n")
    screen = _Screen()
    outcome = asyncio.run(demo.run(screen.show))
    screen.end()
    _tell(demo, outcome)
    return 0


class _Screen:
    """Prints what arrives, one short line a message, and of what comes every frame only what is new."""

    def __init__(self) -> None:
        self._shown: Counter[str] = Counter()
        self._held_back: Counter[str] = Counter()
        self._objects = -1

    def show(self, message: Received) -> None:
        """Print the message if it tells something new."""
        topic = message.topic
        if topic.endswith("/detections"):
            found = len(message.json()["detections"])
            new, self._objects = found != self._objects, found
        elif topic.endswith("/events"):
            new = words.is_news(message.json())
        else:
            new = True
        if not new or self._shown[topic] >= _LINES_A_TOPIC:
            self._held_back[topic] += 1
            return
        self._shown[topic] += 1
        text = _summary(message)
        if len(text) > _PAYLOAD:
            text = text[: _PAYLOAD - 1] + "…"
        print(f"{message.at:7.2f} s  {topic:<20}  {text}", flush=True)

    def end(self) -> None:
        """Say how much was not shown."""
        for topic, count in self._held_back.items():
            print(f"           {topic:<20}  and {count} more")


def _summary(message: Received) -> str:
    """The payload as a person would say it; of topics without a rule the payload itself."""
    leaf = message.topic.rpartition("/")[2]
    if leaf == "detections":
        payload = message.json()
        found = ", ".join(
            f"{item['label']} {item['score']:.2f} {[round(corner) for corner in item['box']]}"
            for item in payload["detections"]
        )
        return f"frame {payload['frame_id']}: {found or 'nothing'}"
    if leaf == "timings":
        payload = message.json()
        predict: dict[str, Any] = payload["stages"].get("predict", {})
        results = payload["frames"]["inferred"] + payload["frames"]["still"]
        return f"{results} frames, {payload['fps']} frames/s, predict p50 {predict.get('p50_ms')} ms"
    if leaf == "state":
        payload = message.json()
        device = f" on {payload['device']} with {payload['runtime']}" if payload["device"] else ""
        return f"{payload['lifecycle']}{device}"
    if leaf == "events":
        payload = message.json()
        return f"{payload['label']} {payload['track']} {words.sentence(payload)}"
    if message.payload.startswith(_JPEG):
        return f"a picture of {len(message.payload)} bytes"
    return message.payload.decode(errors="replace")


def _tell(demo: Demo, outcome: DemoOutcome) -> None:
    tally, delivery = outcome.tally, outcome.delivery
    timings, frames = tally.timings, tally.timings["frames"]
    print(f"\n{'stage':<14} {'count':>7} {'p50':>9} {'p95':>9} {'p99':>9} {'max':>9}  ms")
    for name, stage in timings["stages"].items():
        figures = " ".join(f"{stage[key]:9.2f}" for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        print(f"{name:<14} {stage['count']:7} {figures}")

    print(f"\nframes    {frames['captured']} captured = {frames['inferred']} inferred", end="")
    _print_losses(frames["dropped"])
    print(f"          {timings['fps']} frames/s, faces in {tally.faces} frames")
    print(f"messages  {delivery['made']} made = {delivery['acknowledged']} acknowledged", end="")
    _print_losses(delivery["dropped"])
    print(f"          {tally.messages} received, among them each of {len(tally.frames)} frames, in order")
    print(f"video     {outcome.video}")
    size = f"{outcome.width}x{outcome.height}"
    print(f"          {outcome.codec}, {size}, {outcome.frames} frames, {outcome.duration_s:.1f} s")
    print(f"lines     {demo.jsonl}")

    print(f"\nWhat happened, as 'edged events {demo.events}' tells it")
    with closing(event_lines.Tail(demo.events)) as tail:
        for event in filter(words.is_news, tail.read()):
            print(f"  {words.line(event)}")

    print("\nWhat next")
    print(f"  your camera, model and broker   copy {demo.env_file}, change it, then")
    print("                                  edged check --env-file FILE && edged run --env-file FILE")
    print("  several cameras                 edged env --cameras front,back")
    print("  zones and lines on its page     edged run --view --env-file FILE")
    print("  every setting                   edged env")
    print("  other models                    edged models list")


def _print_losses(causes: Mapping[str, int]) -> None:
    print("".join(f" + {count} {cause}" for cause, count in causes.items()) or " + 0 dropped")
