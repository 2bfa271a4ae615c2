"""The command: ``python -m fuzz TARGET [libFuzzer's options]``, as ``cookies``. What it finds is in ``.fuzz``."""

from __future__ import annotations

import importlib
import logging
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

FOUND = Path(__file__).parent.parent / ".fuzz"


def main() -> None:
    name, *options = sys.argv[1:]
    logging.getLogger("asgi_signed_session").addHandler(
        logging.NullHandler()
    )  # or what it warns of hides what is found
    atheris: Any = importlib.import_module("atheris")  # not there on every Python, nor where types are checked
    with atheris.instrument_imports(include=["asgi_signed_session", "itsdangerous", "json.decoder", "fuzz.targets"]):
        from .targets import SEEDS, TARGETS
    corpus = FOUND / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[name]:
        (corpus / sha256(seed).hexdigest()).write_bytes(seed)
    atheris.Setup([sys.argv[0], f"-artifact_prefix={FOUND}/{name}-", *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
