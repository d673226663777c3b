"""``edged models``: what is in the catalog, getting a model, looking into one."""

from __future__ import annotations

import signal
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli import above_zero
from edged.model import catalog

if TYPE_CHECKING:
    import argparse

    from edged.model.description import Run
    from edged.records import TensorSpec

_MEGABYTE = 1e6
_OVERLAP = 0.45
"""As EDGED_IOU_THRESHOLD by default."""
_QUALITY = 90
_NAME = 22
"""Characters of the column of names."""
_VALUE = 160
"""Characters of a value that are shown: 80 class names are more than anybody reads."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    listing = actions.add_parser("list", help="show the catalog")
    listing.set_defaults(act=_list)
    pull = actions.add_parser("pull", help="get a model with its labels, checked against its checksum")
    pull.add_argument("name", metavar="NAME", help="as 'edged models list' shows it")
    pull.add_argument(
        "--to", type=Path, default=Path(), metavar="DIR", help="folder (default: where you are)"
    )
    pull.set_defaults(act=_pull)
    inspect = actions.add_parser("inspect", help="show what a .tflite is and how to set edged to it")
    inspect.add_argument("file", type=Path, metavar="FILE")
    inspect.add_argument("--labels", type=Path, metavar="FILE", help="labels file to look at with it")
    inspect.set_defaults(act=_inspect)
    attempt = actions.add_parser("try", help="find things in a picture, and write it with them drawn in")
    attempt.add_argument("file", type=Path, metavar="FILE")
    attempt.add_argument("picture", type=Path, metavar="PICTURE")
    attempt.add_argument("--labels", type=Path, metavar="FILE", help="labels file to use with it")
    attempt.add_argument(
        "--score",
        type=above_zero(1),
        default=0.4,
        metavar="N",
        help="least score, up to 1 (default: %(default)s)",
    )
    attempt.add_argument(
        "--to", type=Path, metavar="JPEG", help="what to write (default: PICTURE_found.jpg, where you are)"
    )
    attempt.set_defaults(act=_try)


def run(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    code: int = options.act(options)
    return code


def _list(_: argparse.Namespace) -> int:
    from edged.engines.coral import hardware  # noqa: PLC0415  # nothing else here needs it

    known = catalog.load()
    here = bool(hardware.find())
    rows = [("name", "input", "runs on", "ms", "AP", "licence", "what it is")]
    rows += [
        (
            entry.name,
            "x".join(map(str, entry.input)),
            "Edge TPU" if entry.cpu_twin else "CPU",
            _figure(entry.ms, "{:.1f}"),
            _figure(entry.ap, "{:.2f}"),
            entry.model.licence,
            entry.about,
        )
        for entry in catalog.ordered(known.entries, edgetpu=here)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"\n{'An' if here else 'No'} Edge TPU is plugged in: what runs here comes first. Where the file")
    print("could be had, ms: of an invoke on one thread of a server; AP: how far it agrees with a larger")
    print("model, no figure of COCO's (benchmarks/catalog.md).")
    print(f"Get one with: edged models pull NAME\n\n{textwrap.fill(known.note, 100)}")
    return 0


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _pull(options: argparse.Namespace) -> int:
    entry = catalog.load().find(options.name)
    # A terminated pull must clean up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    pulled = catalog.pull(entry, options.to, progress=_progress if sys.stderr.isatty() else None)
    for path in filter(None, (pulled.model, pulled.labels)):
        word = "pulled" if path in pulled.fetched else "already there:"
        print(f"{word} {path} ({path.stat().st_size} bytes)", file=sys.stderr)
    if entry.cpu_twin:
        print(f"It runs on an Edge TPU only; for the CPU pull {entry.cpu_twin}", file=sys.stderr)
    # Only these go to standard output: 'edged models pull NAME >> edged.env' sets edged to the model.
    _print_settings(pulled.model, pulled.labels)
    return 0


def _progress(file: str, done: int, total: int | None) -> None:
    size = f"{done / _MEGABYTE:.1f}" + (f" of {total / _MEGABYTE:.1f}" if total else "") + " MB"
    print(f"\r\033[K{file}: {size}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _print_settings(model: Path, labels: Path | None) -> None:
    print(f"EDGED_MODEL={model.absolute()}")
    if labels is not None:
        print(f"EDGED_LABELS={labels.absolute()}")


def _inspect(options: argparse.Namespace) -> int:
    from edged.decoders import decoder_class, mismatches  # noqa: PLC0415
    from edged.errors import ModelError  # noqa: PLC0415
    from edged.model import file  # noqa: PLC0415  # listing and pulling need none of this
    from edged.model.description import describe  # noqa: PLC0415

    # What is found out is printed at once: a model that the runtime refuses is shown up to there.
    path: Path = options.file
    content = file.read(path, labels=options.labels)
    _row("file", f"{path} ({path.stat().st_size} bytes)")
    _row("runs on", "Edge TPU only" if content.edgetpu else "CPU")
    for name, value in content.metadata.items():
        if name not in {"names", "task", "ssd_anchors"}:
            _row(name, value)
    inputs, outputs, run = _runtime(path, edgetpu=content.edgetpu)
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for tensor in tensors:
            _row(kind, f"{tensor}  {tensor.name}")
    model = describe(content, inputs, outputs, run)
    try:
        decoder = decoder_class(model)
    except ModelError:
        if all(tensor.shape for tensor in outputs):
            raise
        _row("family", "unknown: the shapes of the outputs are seen only with an Edge TPU")
        return 0
    _row("task", decoder.task)
    for family, reason in sorted(mismatches(model).items(), key=lambda judged: judged[1] is not None):
        _row("family" if reason is None else f"not {family}", reason or family)
    labels = decoder(model, score_threshold=0.5, iou_threshold=0.5).labels
    named = [label for class_id, label in enumerate(labels) if label and label != f"class_{class_id}"]
    origin = content.labels_from.replace(str(path), "the model") or "the decoder"
    _row("labels", f"{len(named)} from {origin}: {', '.join(named)}" if named else "none")
    print()
    _print_settings(path, options.labels)
    bundled = catalog.assets() / f"coco_labels{len(labels)}.txt"
    if not named and bundled.is_file():
        print(f"# Its {len(labels)} classes have no names. If it was trained on COCO:")
        print(f"#EDGED_LABELS={bundled}")
    return 0


def _try(options: argparse.Namespace) -> int:
    from edged.errors import SinkError  # noqa: PLC0415  # listing and pulling need none of this
    from edged.imaging.jpeg import encoded  # noqa: PLC0415
    from edged.trial import picture  # noqa: PLC0415

    image = picture.read(options.picture)
    tried = picture.look(options.file, image, labels=options.labels, score=options.score, iou=_OVERLAP)
    for found in tried.detections:
        shapes = [f"{len(found.keypoints)} points"] * bool(found.keypoints)
        shapes += [f"outline of {len(found.outline)} corners"] * bool(found.outline)
        corners = " ".join(f"{corner:.0f}" for corner in found.box)
        print(f"{found.score:.2f}  {found.label}  {', '.join((corners, *shapes))}")
    target: Path = options.to or Path(f"{options.picture.stem}_found.jpg")
    try:
        target.write_bytes(encoded(tried.annotated, _QUALITY))
    except OSError as error:
        raise SinkError(
            f"the picture {target} cannot be written: {error.strerror}", hint="Name another file with --to"
        ) from error
    print(
        f"wrote {target}: {len(tried.detections)} found in {tried.invoke_ms:.1f} ms with one thread, "
        f"{tried.decode_ms:.2f} ms to decode",
        file=sys.stderr,
    )
    return 0


def _runtime(
    path: Path, *, edgetpu: bool
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], Run | None]:
    """Inputs, outputs, and how to run it; nothing runs a model for the Edge TPU here."""
    from edged.engines import runtime  # noqa: PLC0415
    from edged.engines.cpu import CpuEngine, tensor_specs  # noqa: PLC0415

    if edgetpu:
        interpreter = runtime.load().interpreter(model_path=str(path))
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        return tensor_specs(inputs), tensor_specs(outputs), None
    engine = CpuEngine(path)
    return engine.inputs, engine.outputs, engine.invoke


def _row(name: str, value: object) -> None:
    print(f"{name:<{_NAME}} {textwrap.shorten(str(value), _VALUE, placeholder=' ...')}")
