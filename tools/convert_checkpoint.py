#!/usr/bin/env python3
"""Turns a checkpoint of spconv, MinkowskiEngine, TorchSparse or torch-lattice into an artifact (docs/converting.md).

usage: convert_checkpoint.py CHECKPOINT DESCRIPTION.json FOLDER [--lattice PROGRAM] [--recorded FILE] [--no-replay]

Needs the standard library alone: the converter is the Python package's, taken from the source tree without the package.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python", "lattice"))

from _convert.checkpoint_converter import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
