"""Certificates for the nodes of a test's cluster, made with the commands that docs/operations.md names."""

import os
import re
import subprocess

OPERATIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "operations.md")
DOCUMENTED_IDS = "for id in 1 2 3;"


def documented_commands():
    """The commands of the page, as they stand there."""
    with open(OPERATIONS, encoding="utf-8") as page:
        section = page.read().partition("\n## TLS between nodes\n")[2].partition("\n## ")[0]
    return re.search(r"```sh\n(.*?)```", section, re.DOTALL).group(1)


def make_certificates(folder, ids=(1, 2, 3)):
    """The folder, with an authority and `broker-ID` of each of these nodes."""
    commands = documented_commands()
    assert DOCUMENTED_IDS in commands, f"the page makes other certificates than those of {DOCUMENTED_IDS}"
    commands = commands.replace(DOCUMENTED_IDS, f"for id in {' '.join(map(str, ids))};")
    os.makedirs(folder)
    made = subprocess.run(["sh", "-e", "-c", commands], cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return folder


def configuration(certificates, node_id):
    """The part of a node's file of settings that names them."""
    file = os.path.join(certificates, f"broker-{node_id}")
    return (f'[cluster.tls]\ncertificate = "{file}.pem"\nkey = "{file}.key"\n'
            f'authority = "{certificates}/authority.pem"\n')
