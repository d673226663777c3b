"""The CPU engine and the choice of its runtime, on real models and a real, if bare, Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edged.engines import runtime
from edged.engines.cpu import CpuEngine
from edged.errors import ConfigError, DeviceError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(demo_model: Path) -> CpuEngine:
    return CpuEngine(demo_model, threads=2)


def test_says_what_it_runs(engine: CpuEngine) -> None:
    """Device, runtime with version, and tensors as the model has them."""
    assert engine.device == "cpu"
    assert engine.runtime == str(runtime.load())
    assert engine.runtime.split()[0] in runtime.NAMES
    (picture,) = engine.inputs
    assert str(picture) == "float32[1, 192, 192, 3]"
    assert [output.shape for output in engine.outputs] == [(1, 2304, 16), (1, 2304, 1)]


def test_outputs_are_the_callers_own(engine: CpuEngine) -> None:
    """What one invoke gave stays as it is when the next one runs."""
    tensor = np.zeros(engine.inputs[0].shape, np.float32)
    first = engine.invoke(tensor)
    kept = [output.copy() for output in first]
    second = engine.invoke(tensor + 1)
    for output, before, after in zip(first, kept, second, strict=True):
        np.testing.assert_array_equal(output, before)
        assert not np.array_equal(output, after)
        output[:] = 0
    engine.close()


def test_a_tensor_that_does_not_fit_is_no_result(engine: CpuEngine) -> None:
    """A failed invoke is an error with its cause, never an empty result."""
    with pytest.raises(DeviceError, match="could not run face_detection") as error:
        engine.invoke(np.zeros((1, 8, 8, 3), np.float32))
    assert isinstance(error.value.__cause__, ValueError)


def test_reads_scales(shared: Path) -> None:
    """Scale and zero point of quantised tensors come out exactly."""
    engine = CpuEngine(shared / "models" / "yolov8n_320_full_integer_quant_oddscale.tflite")
    assert str(engine.inputs[0]) == "int8[1, 320, 320, 3] (0.0186584, -14)"
    assert str(engine.outputs[0]) == "int8[1, 84, 2100] (0.00491857, -128)"


def test_knows_the_shapes_of_a_detection_postprocess(shared: Path) -> None:
    """Shapes that are open before memory is allocated are known after."""
    engine = CpuEngine(shared / "models" / "coco_ssd_mobilenet_v1_1.0_quant_300.tflite")
    assert [output.shape for output in engine.outputs] == [(1, 10, 4), (1, 10), (1, 10), (1,)]


def test_refuses_what_is_compiled_for_the_edge_tpu(shared: Path) -> None:
    """The message tells the two ways out."""
    with pytest.raises(ModelError) as error:
        CpuEngine(shared / "models" / "yolov8n_320_full_integer_quant_edgetpu.tflite")
    assert "compiled for the Edge TPU" in str(error.value)
    assert "CPU build" in error.value.hint
    assert "EDGED_DEVICE=edgetpu" in error.value.hint
    assert isinstance(error.value.__cause__, RuntimeError)


def test_refuses_a_graph_that_the_runtime_refuses(shared: Path) -> None:
    """The runtime's own reason is told, once and short, and kept as the cause."""
    with pytest.raises(
        ModelError, match=r"does_not_load\.tflite: quantized_dimension must be in range"
    ) as error:
        CpuEngine(shared / "models" / "does_not_load.tflite")
    assert len(str(error.value)) < 300
    assert isinstance(error.value.__cause__, ValueError)


def test_refuses_a_model_with_a_memory(shared: Path) -> None:
    """Models that take more than a picture are refused with the list of what they take."""
    with pytest.raises(ModelError, match="has 3 inputs") as error:
        CpuEngine(shared / "models" / "automl_traffic_lstm_3inputs.tflite")
    assert "'raw_inputs/init_lstm_c' uint8[1, 8, 8, 320]" in str(error.value)


def test_refuses_an_unknown_runtime(demo_model: Path) -> None:
    """The message lists what there is."""
    with pytest.raises(ConfigError, match=r"EDGED_RUNTIME='tensorrt'.*auto, ai-edge-litert, tflite-runtime"):
        CpuEngine(demo_model, runtime="tensorrt")


def load_in(packages: Path, name: str) -> str:
    """What ``runtime.load`` says in a Python that has only ``packages``."""
    program = (
        "from edged.engines import runtime; from edged.errors import ConfigError\n"
        f"try: print(runtime.load({name!r}))\n"
        "except ConfigError as error: print('refused:', error)"
    )
    return subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": f"{ROOT}:{packages}"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


def install(folder: Path, versions: Mapping[str, str], modules: Mapping[str, str]) -> None:
    """Put packages into ``folder`` the way pip does: metadata and modules."""
    for name, version in versions.items():
        metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for path, source in modules.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(source)


LITERT = "class Interpreter: pass\ndef load_delegate(): pass\n"


def test_nothing_installed_tells_what_to_install(tmp_path: Path) -> None:
    """Without any runtime the message has the command that mends it."""
    assert (
        load_in(tmp_path, "auto")
        == "refused: no TFLite runtime is installed. Run: pip install ai-edge-litert."
    )


def test_a_missing_runtime_tells_what_to_install_or_to_choose(tmp_path: Path) -> None:
    """A runtime asked for by name is not replaced by another, but the other is offered."""
    install(
        tmp_path,
        {"ai-edge-litert": "2.3.0", "numpy": "2.1.0"},
        {"ai_edge_litert/__init__.py": "", "ai_edge_litert/interpreter.py": LITERT},
    )
    assert load_in(tmp_path, "auto") == "ai-edge-litert 2.3.0"
    assert load_in(tmp_path, "tflite-runtime") == (
        "refused: the TFLite runtime tflite-runtime is not installed."
        " Run: pip install 'edged[tflite-runtime]', or set EDGED_RUNTIME=ai-edge-litert."
    )


@pytest.mark.parametrize("numpy", ["1.26.4", "2.1.0"])
def test_tflite_runtime_needs_the_old_numpy(tmp_path: Path, numpy: str) -> None:
    """The pair that would break inside the first call is refused before it is imported."""
    install(
        tmp_path,
        {"tflite-runtime": "2.14.0", "numpy": numpy},
        {"tflite_runtime/__init__.py": "", "tflite_runtime/interpreter.py": LITERT},
    )
    said = load_in(tmp_path, "auto")
    if numpy.startswith("1."):
        assert said == "tflite-runtime 2.14.0"
    else:
        assert said.startswith("refused: tflite-runtime needs numpy 1, here is numpy 2.1.0. Run: pip install")


def test_a_broken_runtime_is_not_passed_over(tmp_path: Path) -> None:
    """An import that fails is told, not taken for a runtime that is not there."""
    install(
        tmp_path,
        {"ai-edge-litert": "2.3.0", "tflite-runtime": "2.14.0", "numpy": "1.26.4"},
        {
            "ai_edge_litert/__init__.py": "",
            "ai_edge_litert/interpreter.py": "raise ImportError('libstdc++ is too old')",
            "tflite_runtime/__init__.py": "",
            "tflite_runtime/interpreter.py": LITERT,
        },
    )
    said = load_in(tmp_path, "auto")
    assert said.startswith(
        "refused: the TFLite runtime ai-edge-litert is installed but broken: libstdc++ is too old"
    )
    assert said.endswith("or set EDGED_RUNTIME=tflite-runtime.")


@pytest.mark.parametrize(
    ("operation", "chip"),
    [("ethos-u", "Ethos-U"), ("NeutronGraph", "Neutron"), ("PosenetDecoderOp", "Coral")],
)
def test_a_model_for_another_chip_is_told_what_it_is_for(
    shared: Path, tmp_path: Path, operation: str, chip: str
) -> None:
    """An Edge TPU's model with the name of the other chip's operation in place of its own."""
    data = (shared / "models" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite").read_bytes()
    old = b"edgetpu-custom-op"
    new = operation.encode().ljust(len(old), b"\0")
    lengths = [len(text).to_bytes(4, "little") for text in (old, operation.encode())]
    assert data.count(lengths[0] + old) >= 1
    path = tmp_path / "other.tflite"
    path.write_bytes(data.replace(lengths[0] + old, lengths[1] + new))
    with pytest.raises(ModelError, match=chip) as error:
        CpuEngine(path)
    assert operation in str(error.value)
    assert "converter" not in error.value.hint
