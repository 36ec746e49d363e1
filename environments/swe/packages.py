"""Packages whose own test suites pass without a network. The user's pip fetches them; nothing of them is shipped."""

from __future__ import annotations

from agentgym.core.errors import ConfigError, did_you_mean
from agentgym.environments.swe.package import BUNDLED, Package

_PYTEST = "pytest==9.2.0"

_ALL = (
    Package(
        "toolz", "1.2.0", "pytest", ("toolz", "tlz"), ("toolz/tests",), requires=(_PYTEST,), licence="BSD-3-Clause",
        sha256="9667a038e9d6ecba37995e26cb2f59ec6420b6ad8dd9677de59db9b956b08490",
    ),
    Package(
        "inflection", "0.5.1", "pytest", ("inflection",), ("test_inflection.py",), requires=(_PYTEST,), licence="MIT",
        sha256="1a29730d366e996aaacffb2f1f1cb9593dc38e2ddd30c91250c6dde09ea9b417",
    ),
    Package(
        "cachetools", "8.0.0", "pytest", ("src/cachetools",), ("tests",), path=("src", "."), requires=(_PYTEST,),
        licence="MIT", sha256="5ed01bd676800d51f0025605e4fd8ad0891550513e7b0a4c3da478463764e5c3",
    ),
    Package(
        "schema", "0.7.8", "pytest", ("schema",), ("test_schema.py",), requires=(_PYTEST,), licence="MIT",
        sha256="e86cc08edd6fe6e2522648f4e47e3a31920a76e82cce8937535422e310862ab5",
    ),
    Package(
        "parse", "1.22.4", "pytest", ("parse",), ("tests",), options=("-o", "addopts="),
        requires=(_PYTEST,), licence="MIT",
        sha256="706d458feed5a81b02768d3156e8070baf6cee7d150a3a3c0cd43101a875c3b5",
    ),
    Package(
        "python-slugify", "9.2.0", "pytest", ("slugify",), ("tests",), options=("--ignore=tests/test_release.py",),
        requires=(_PYTEST, "text-unidecode==1.3"), licence="MIT",
        sha256="cee32948083476013804de1667724fb1362dacb71e47b1d5d92adf8db6ee3298",
    ),
    Package(
        "itsdangerous", "2.2.0", "pytest", ("src/itsdangerous",), ("tests",), path=("src", "."),
        requires=(_PYTEST, "freezegun==1.5.5"), licence="BSD-3-Clause",
        sha256="e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173",
    ),
    Package(
        "humanize", "4.17.0", "pytest", ("src/humanize",), ("tests",), path=("src", "."),
        requires=(_PYTEST, "freezegun==1.5.5"), licence="MIT",
        sha256="1d6a36c453dbfbb3f0b34601d2e0b4ce5d48d780305cd45714843f0068fde6ac",
    ),
    Package(
        "tabulate", "0.10.0", "pytest", ("tabulate",), ("test",), requires=(_PYTEST,), licence="MIT",
        sha256="e2cfde8f79420f6deeffdeda9aaec3b6bc5abce947655d17ac662b126e48a60d",
    ),
    Package(
        "marshmallow", "4.4.0", "pytest", ("src/marshmallow",), ("tests",), path=("src", "."),
        requires=(_PYTEST, "simplejson==3.20.2"), licence="MIT",
        sha256="9e6ffa8511012ca89732324c1c253efd7b4d35632dcbdf80aa793fe01804af3e",
    ),
    Package(
        "glom", "25.12.0", "pytest", ("glom",), ("glom/test",), options=("--ignore=glom/test/test_cli.py",),
        requires=(_PYTEST, "boltons==25.0.0", "attrs==25.4.0", "face==24.0.0", "PyYAML==6.0.3"),
        licence="BSD-3-Clause", sha256="1ae7da88be3693df40ad27bdf57a765a55c075c86c971bcddd67927403eb0069",
    ),
    Package(
        "pyrsistent", "0.20.0", "pytest", ("pyrsistent",), ("tests",), requires=(_PYTEST,),
        options=("--ignore=tests/hypothesis_vector_test.py", "--ignore=tests/toolz_test.py"), licence="MIT",
        sha256="4c48f78f62ab596c679086084d0dd13254ae4f3d6c72a83ffdf5ebdef8f265a4",
    ),
    Package(
        "markupsafe", "3.0.4", "pytest", ("src/markupsafe",), ("tests",), path=("src", "."), requires=(_PYTEST,),
        licence="BSD-3-Clause", sha256="2e9ad7dd851bf45fab9f75cbff4cb493fee9979e8d8c7c9c3ee119022518edd6",
    ),
)  # fmt: skip

PACKAGES: dict[str, Package] = {package.key: package for package in (*_ALL, BUNDLED)}
"""``name-version`` -> package."""


def get(requirement: str) -> Package:
    """The package of ``name==version`` or of ``name-version``.

    Raises:
        ConfigError: None that is known, with the close ones.
    """
    key = requirement.replace("==", "-")
    if key not in PACKAGES:
        raise ConfigError(
            f"Unknown package {requirement!r}.{did_you_mean(key, PACKAGES)} Known: {', '.join(PACKAGES)}."
        )
    return PACKAGES[key]
