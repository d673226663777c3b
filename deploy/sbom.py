"""Prints what a release is made of, as CycloneDX 1.5 in JSON, from the pinned requirements.

Usage: sbom.py REQUIREMENTS, such as deploy/requirements/ai-edge-litert-py313.txt. The same file and version
give the same document, byte for byte.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_ROOT = Path(__file__).resolve().parents[1]


def version() -> str:
    """That of edged, read and not imported: what it needs may not be installed."""
    text = (_ROOT / "edged/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "(.*)"', text)
    if found is None:
        raise SystemExit("sbom.py: edged/__init__.py names no version")
    return found[1]


def components(requirements: str) -> list[dict[str, Any]]:
    """One a package, with the hashes of the files that may be installed for it."""
    pins = list(_PIN.finditer(requirements))
    ends = [pin.start() for pin in pins[1:]] + [len(requirements)]
    found = []
    for pin, end in zip(pins, ends, strict=True):
        name, number = re.sub(r"[-_.]+", "-", pin[1]).lower(), pin[2]
        purl = f"pkg:pypi/{name}@{number}"
        hashes = sorted(_HASH.findall(requirements[pin.start() : end]))
        found.append(
            {
                "type": "library",
                "bom-ref": purl,
                "name": name,
                "version": number,
                "purl": purl,
                "hashes": [{"alg": "SHA-256", "content": content} for content in hashes],
            }
        )
    return found


def document(requirements: str) -> dict[str, Any]:
    """The whole of it."""
    number = version()
    own = f"pkg:pypi/edged@{number}"
    parts = components(requirements)
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"{own}\n{requirements}")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "edged",
                "version": number,
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": parts,
        # The requirements are flat: they say what is installed, not who wants it.
        "dependencies": [{"ref": own, "dependsOn": [part["bom-ref"] for part in parts]}],
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program itself, and the file
        raise SystemExit("usage: sbom.py REQUIREMENTS")
    json.dump(document(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.stdout, indent=1)
    sys.stdout.write("\n")
