"""Converts checkpoints written by hand and holds the results to a dense convolution of these files' own.

usage: LATTICE_CLI=path/of/lattice convert_checks.py [CASE...]
"""

import sys

import convert_files
import convert_networks
import convert_refusals
from convert_support import checks, failures


def main(names):
    for module in (convert_networks, convert_refusals, convert_files):
        for name, case in list(vars(module).items()):
            if name.startswith("case_") and (not names or name[5:] in names):
                case()
    print(f"{len(checks)} checks, {len(failures)} failed")
    return 1 if failures or not checks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
