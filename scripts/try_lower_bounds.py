"""Whether the oldest versions that pyproject.toml allows are enough: install those, then fill and read a database.

Takes a virtual environment of its own, in a directory that goes away; needs a Python that the oldest versions know.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What users install; the extras for tests, pages and benchmarks are the project's own.
EXTRAS = ("cli", "cursors", "fast", "graphql", "otel", "png")

SMOKE = """
from cloudpub_models import Database, Managers, UserDto, operators
from cloudpub_models.graphql import answer
from cloudpub_models.telemetry import instrument
import orjson, resvg_py
import psycopg2
from cryptography.hazmat.backends.openssl import backend

# What is bundled is still mended: libpq of a supported PostgreSQL, OpenSSL of a supported line.
assert psycopg2.__libpq_version__ >= 160000, psycopg2.__libpq_version__
assert backend.openssl_version_text() >= "OpenSSL 3.5", backend.openssl_version_text()

database = Database("sqlite:///:memory:", cursor_key="A" * 43)
instrument(database)
database.migrate()
managers = Managers(database)
ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
function = managers.functions.insert({"user_id": ada.id, "name": "resize"})
deployment = managers.function_deployments.deploy(function, "image", "key")
managers.function_deployments.activate(deployment)
managers.function_logs.batch_insert({"function_id": function.id, "level": "info", "message": "…"} for _ in range(9))
assert managers.functions.find_one({"name": operators.like("re%")}, include=("user",)).user == ada
assert managers.function_logs.count() == 9
page = managers.function_logs.paginate_after(None, 5)
assert len(managers.function_logs.paginate_after(page.next_cursor, 5).items) == 4
asked = answer(managers, "{ functions(first: 1) { nodes { name } } }")
assert asked == {"data": {"functions": {"nodes": [{"name": "resize"}]}}}, asked
assert UserDto.from_entity(ada).to_json()["email"] == "ada@example.com"
"""

# The command, and a part of what it prints.
COMMANDS = {
    "--help": "migrate",
    "migrate up --database sqlite:///lowest.db": "applied 0001_initial",
    "count users --database sqlite:///lowest.db": "0",
    "schema --output lowest.png": "",
}


def lowest(requirement: str) -> str:
    """Return a requirement with its lower bound as the only version."""
    name, _, version = requirement.partition(">=")
    return f"{name}=={version}"


def main() -> None:
    """Install and try; raise where either does not go well."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(each for extra in EXTRAS for each in project["optional-dependencies"][extra])]
    versions = [lowest(requirement) for requirement in wanted]
    with tempfile.TemporaryDirectory(prefix="cloudpub-lowest-") as folder:
        # Installing a checkout leaves what it builds there.
        source = Path(folder, "source")
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build"))
        venv.create(folder, with_pip=True)
        python, command = (str(Path(folder, "bin", name)) for name in ("python", "cloudpub"))
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *versions, str(source)], check=True)
        subprocess.run([python, "-W", "error", "-c", SMOKE], check=True, cwd=folder)
        for arguments, expected in COMMANDS.items():
            printed = subprocess.run(
                [command, *arguments.split()], check=True, cwd=folder, stdout=subprocess.PIPE, text=True
            )
            assert expected in printed.stdout, f"cloudpub {arguments}: {printed.stdout}"
    print("enough:", ", ".join(versions))


if __name__ == "__main__":
    main()
