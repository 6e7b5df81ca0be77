"""Prints what `cargo llvm-cov report --json --summary-only` says of the core, module by module, as Markdown."""

import json
import sys
from collections import Counter, defaultdict

KINDS = ("lines", "regions", "functions")

with open(sys.argv[1], encoding="utf-8") as report:
    files = json.load(report)["data"][0]["files"]

counts = defaultdict(Counter)
for file in files:
    _, _, path = file["filename"].partition("/core/src/")
    if not path:
        continue
    for module in (path.split("/")[0].removesuffix(".rs"), "**all**"):
        for kind in KINDS:
            counts[module][kind, "all"] += file["summary"][kind]["count"]
            counts[module][kind, "reached"] += file["summary"][kind]["covered"]

print("| module | lines | " + " | ".join(f"{kind}, %" for kind in KINDS) + " |")
print("|---|" + "--:|" * (1 + len(KINDS)))
# Beside the rows of modules, which come in alphabetical order, the sum is the last.
for module in sorted(counts, key=lambda name: (name.startswith("*"), name)):
    of = counts[module]
    shares = [f"{100 * of[kind, 'reached'] / max(of[kind, 'all'], 1):.1f}" for kind in KINDS]
    print(f"| {module} | {of['lines', 'all']:,} | " + " | ".join(shares) + " |")
