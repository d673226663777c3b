"""What recording a camera's own packets takes of a core (benchmarks/copying.md, docs/less.md).

    python benchmarks/copying.py ../shared > benchmarks/copying.md

The stream of ``less.py``, its packets handed on at its own pace to nobody and, in turns, to all that
EDGED_RECORD=copy is: the tap, the muxer, and the thread that waits for the disk. CPU time of the process,
which does nothing else, so that what else the machine does counts little. What was recorded is counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import av
from less import CLIP, quiet_clip

from edged.sources.packets.tap import StreamTap, Tap
from edged.video.copying import Copier
from edged.video.recorder import FolderRecorder
from edged.video.retention import Retention
from edged.video.writer import Writer


def feed(clip: Path, copier: Copier | None) -> tuple[float, int]:
    """Share of a core, and packets, while the clip passes once."""
    tap = Tap()
    tap.hand_to([copier] if copier is not None else [])
    with av.open(str(clip)) as container:
        through = StreamTap(tap, container.streams.video[0])
        count, began, cpu = 0, time.monotonic(), time.process_time()
        for packet in container.demux(video=0):
            if packet.size:
                through.packet(packet)
                count += 1
                time.sleep(max(0.0, began + count / 30 - time.monotonic()))
        through.end()
        return (time.process_time() - cpu) / (time.monotonic() - began), count


def recorded(clip: Path, folder: Path) -> tuple[float, int, int]:
    """Share of a core while the clip is recorded; packets sent, and packets in the files."""
    recorder = FolderRecorder(
        folder, Retention(folder, budget=10**9, reserve=10**8), length_s=60.0, events=None
    )
    writer = Writer(recorder)
    recorder.open()
    writer.start()
    share, sent = feed(clip, Copier(writer))
    writer.close(10.0)
    kept = 0
    for path in folder.glob("*.mp4"):
        with av.open(str(path)) as container:
            kept += sum(1 for packet in container.demux(video=0) if packet.size)
    return share, sent, kept


def main() -> None:
    """Measure both in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with clips/")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind (default: %(default)s)")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    none, copy = [], []
    sent = kept = 0
    with tempfile.TemporaryDirectory() as name:
        clip = quiet_clip(options.shared.resolve() / CLIP, Path(name) / "quiet.ts", "constant")
        for number in range(options.rounds):
            none.append(feed(clip, None)[0])
            share, one_sent, one_kept = recorded(clip, Path(name) / str(number))
            copy.append(share)
            sent, kept = sent + one_sent, kept + one_kept
    more = statistics.median(one - other for one, other in zip(copy, none, strict=True))
    print("# Recording a camera's own packets\n")
    print(
        f"{platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores, Python "
        f"{platform.python_version()}. 720p30 H.264 at 3 Mbit/s, {options.rounds} runs of\n8 s of each kind "
        f"in turns, CPU time of the process. The load of the machine when it began was {load:.1f}.\n"
    )
    print("| what | measured |\n| --- | --- |")
    print(f"| reading the stream, share of a core | {100 * statistics.median(none):.2f} % |")
    print(f"| reading and recording it | {100 * statistics.median(copy):.2f} % |")
    print(f"| recording alone, median of the rounds (wanted: 1 %) | {100 * more:.2f} % |")
    print(f"| packets sent, and in the files | {sent}, {kept} |")


if __name__ == "__main__":
    main()
