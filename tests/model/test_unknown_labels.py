"""Labels that the model does not find are told with the setting that names them, and what was meant."""

from __future__ import annotations

from loaded import load

from edged.model import unknown_labels

LABELS = ("person", "car", "hot dog")


def test_every_setting_that_names_labels_is_looked_at() -> None:
    given = load(
        EDGED_SCORES="persn:0.5,car:0.4",
        EDGED_AREAS="ca:0.1-0.5",
        EDGED_EVENT_LABELS="Person",
        EDGED_ZONE_PORCH="hotdog,person@0,0 1,0 1,1",
        EDGED_LINE_GATE="zebra@0,0 1,1",
        EDGED_MASK_ROAD="car@0,0 1,0 1,1",
    )
    assert unknown_labels.harmless(given, LABELS) == [
        "EDGED_SCORES names 'persn', which the model cannot find; did you mean 'person'?",
        "EDGED_AREAS names 'ca', which the model cannot find; did you mean 'car'?",
        "EDGED_EVENT_LABELS names 'Person', which the model cannot find; did you mean 'person'?",
        "EDGED_ZONE_PORCH names 'hotdog', which the model cannot find; did you mean 'hot dog'?",
        "EDGED_LINE_GATE names 'zebra', which the model cannot find",
    ]
    assert unknown_labels.required(given, LABELS) == []


def test_all_classes_that_there_are_not_are_told_at_once() -> None:
    given = load(EDGED_CLASSES="persn,car,dog", EDGED_CLASSIFY="bird:b.tflite")
    assert [one.partition(",")[0] for one in unknown_labels.required(given, LABELS)] == [
        "EDGED_CLASSES names 'persn'",
        "EDGED_CLASSES names 'dog'",
        "EDGED_CLASSIFY names 'bird'",
    ]
