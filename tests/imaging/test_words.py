"""Text for pictures: written the same as OpenCV does, by one thread for all."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial

import cv2
import numpy as np

from edged import bridge
from edged.imaging.canvas import Canvas
from edged.imaging.words import written

UNPACKED = """
import resource, sys, threading
import numpy as np
from edged import bridge
from edged.imaging.drawing import annotate
from edged.records import Box, Detection

def draw(number):
    annotate(np.zeros((120, 160, 3), np.uint8), [Detection(0, "cat", number / 10, Box(10, 20, 60, 90))])

def most_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

bridge.start("first", lambda: draw(1)).join()
before = most_mb()
for number in range(2, 6):
    bridge.start("another", lambda number=number: draw(number)).join()
print(most_mb() - before, [one.name for one in threading.enumerate()])
"""


def test_text_lies_where_opencv_would_write_it() -> None:
    for origin in ((20, 30), (-7, 30), (150, 3), (20, 63), (500, 30)):
        expected, drawn = (np.full((64, 200, 3), 40, np.uint8) for _ in range(2))
        white = (255, 255, 255)
        cv2.putText(expected, "robin 0.87", origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, white, 1, cv2.LINE_AA)
        text = written("robin 0.87", 0.5, 1, 2)
        place = origin[0] - text.base[0], origin[1] - text.base[1]
        Canvas(drawn).tag(text, place, (40, 40, 40), white)
        difference = np.abs(expected.astype(int) - drawn)
        assert difference.mean() < 0.5, origin
        assert (drawn != 40).any() == (expected != 40).any()


def test_threads_that_draw_unpack_no_fonts_of_their_own() -> None:
    done = subprocess.run([sys.executable, "-c", UNPACKED], capture_output=True, text=True, check=True)
    grown, names = done.stdout.split(" ", 1)
    assert float(grown) < 6, "one set of OpenCV 5's fonts"
    assert names.strip() == "['MainThread', 'words']"


def test_many_write_at_a_time() -> None:
    sizes: dict[int, int] = {}
    go = threading.Event()

    def write(number: int) -> None:
        go.wait(10)
        sizes[number] = written("m" * number, 0.4, 1, 2).mask.shape[1]

    threads = [bridge.start(f"writer-{number}", partial(write, number)) for number in range(1, 9)]
    go.set()
    for thread in threads:
        thread.join(10)
    assert [sizes[number] for number in range(1, 9)] == sorted(sizes.values())
    assert len(set(sizes.values())) == 8
