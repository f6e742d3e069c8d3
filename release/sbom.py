#!/usr/bin/env python3
"""Prints what the released binary is made of, as CycloneDX 1.5, from Cargo.lock: `release/sbom.py TARGET > mux.cdx.json`.

Only crates that are linked into the program for that target, features as released; checksums are those that cargo
verified. No time and no random number in it: the same commit gives the same bytes.
"""

import json
import re
import subprocess
import sys
import tomllib

target = sys.argv[1] if len(sys.argv) > 1 else "x86_64-unknown-linux-gnu"
command = ["cargo", "tree", "--locked", "--edges", "normal,no-proc-macro", "--target", target, "--prefix", "none", "--format", "{p}\t{l}"]
tree = subprocess.run(command, check=True, capture_output=True, text=True).stdout
with open("Cargo.lock", "rb") as file:
    checksums = {(each["name"], each["version"]): each.get("checksum") for each in tomllib.load(file)["package"]}

components = {}
for line in tree.splitlines():
    what, licence = line.split("\t")
    name, version = re.match(r"(\S+) v(\S+)", what).groups()
    component = {"type": "library", "name": name, "version": version, "purl": f"pkg:cargo/{name}@{version}"}
    component["licenses"] = [{"expression": licence.removesuffix(" (*)").replace("/", " OR ")}]
    if checksums[name, version]:
        component["hashes"] = [{"alg": "SHA-256", "content": checksums[name, version]}]
    components[name, version] = component

program = next(iter(components))
main = components.pop(program)
main["type"] = "application"
document = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {"component": main},
    "components": [components[key] for key in sorted(components)],
}
print(json.dumps(document, indent=1))
