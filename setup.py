"""Maps the top-level content folders into the ``agentgym`` package; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

CONTENT = ("environments", "tools", "policies", "sandboxes")

packages = find_packages(include=["agentgym", "agentgym.*"], exclude=[f"agentgym.{name}*" for name in CONTENT])
package_dir = {"agentgym": "agentgym"}
for name in CONTENT:
    package_dir[f"agentgym.{name}"] = name
    packages.append(f"agentgym.{name}")
    packages.extend(f"agentgym.{name}.{sub}" for sub in find_packages(name))

setup(packages=packages, package_dir=package_dir)
