"""Fetches packages with the user's own pip, once, into the cache folder. Hashes of sources are pinned, and versions of
whatever their test suites need (``data/constraints.txt``)."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path

from agentgym.core.cache import cache_root
from agentgym.core.errors import ConfigError, DataError
from agentgym.environments.swe.package import BUNDLED, Environment, Files, Package, bundled_files

_MAX_FILE = 1 << 20


def files_of(package: Package) -> Files:
    """The package's files as they were published.

    Raises:
        DataError: What pip fetched has another hash.
        ConfigError: pip could not fetch it.
    """
    if package.key == BUNDLED.key:
        return bundled_files()
    return _unpack(str(_archive_path(package)), package.sha256)


def environment_of(package: Package) -> Environment:
    """Where the requirements of its test suite are installed; fetched when they are not there.

    Raises:
        ConfigError: pip could not install them.
    """
    if not package.requires and package.key == BUNDLED.key:
        return Environment()
    name = hashlib.sha256("\n".join((package.key, sys.version, *package.requires)).encode()).hexdigest()[:12]
    target = cache_root() / "swe" / "packages" / f"{package.key}-{name}"
    if not target.is_dir():
        _install(package, target)
    return Environment(str(target))


def archive_hash(package: Package) -> str:
    """Hash of the package's source archive, which is fetched when it is not there."""
    return hashlib.sha256(_archive_path(package).read_bytes()).hexdigest()


def store(package: Package, data: bytes) -> None:
    """Puts a source archive into the cache."""
    path = _archive_path(package, fetch=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def empty_folder() -> str:
    """A folder with nothing in it, to be mounted over folders that a sandbox must not show.

    Raises:
        ConfigError: The cache folder can't be written.
    """
    folder = cache_root() / "swe" / "empty"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    except OSError as error:
        raise ConfigError(
            f"{folder} can't be made ({error.strerror}); name another folder in AGENTGYM_CACHE."
        ) from error
    return str(folder)


def is_fetched(package: Package) -> bool:
    """Whether it can be used without a network."""
    return package.key == BUNDLED.key or _archive_path(package, fetch=False).is_file()


def _archive_path(package: Package, *, fetch: bool = True) -> Path:
    path = cache_root() / "swe" / "sources" / f"{package.key}.tar.gz"
    if fetch and not path.is_file():
        if package.origin:
            raise ConfigError(f"{package.key} was taken from {package.origin} and is no longer in {path.parent}.")
        _download(package, path)
    return path


def _download(package: Package, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    requirement = f"{package.name}=={package.version}"
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # The hash is given to pip, which refuses other archives before it runs any code of theirs.
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(requirement + (f" --hash=sha256:{package.sha256}" if package.sha256 else "") + "\n")
        _pip("download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", folder, "-r", str(wanted))
        found = sorted(Path(folder).glob("*.tar.gz"))
        if len(found) != 1:
            raise ConfigError(f"pip fetched no source archive of {requirement}: {[item.name for item in found]}.")
        found[0].replace(path)


def _install(package: Package, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent))
    pins = resources.files("agentgym.environments.swe") / "data" / "constraints.txt"
    try:
        if package.requires:
            with resources.as_file(pins) as constraints:
                _pip("install", "--quiet", "-c", str(constraints), "--target", str(folder), *package.requires)
        _write_metadata(package, folder)
        folder.chmod(0o755)
        try:
            folder.replace(target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_metadata(package: Package, folder: Path) -> None:
    """Packages ask for their own version; they are run from source, so their metadata is put beside the rest."""
    metadata = files_of(package).get("PKG-INFO", f"Metadata-Version: 2.1\nName: {package.name}\n".encode())
    place = folder / f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    place.mkdir(exist_ok=True)
    (place / "METADATA").write_bytes(metadata)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-4:])
        raise ConfigError(f"pip could not fetch what a task needs: {' '.join(arguments)}\n{last}")


@cache
def _unpack(path: str, digest: str) -> Files:
    data = Path(path).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if digest and found != digest:
        raise DataError(f"{path} has the hash {found}, expected {digest}. Delete it; it is fetched again.")
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name = member.name.partition("/")[2]
            source = tar.extractfile(member) if member.isreg() and member.size <= _MAX_FILE else None
            hidden = any(part.startswith(".") for part in name.split("/"))
            if source is not None and name and not hidden and ".." not in name.split("/"):
                files[name] = source.read()
    return dict(sorted(files.items()))
