"""The procedural catalogue: believable, reproducible, disjoint between splits, safe to build at once."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.core.cache import built_once
from agentgym.core.errors import ConfigError
from agentgym.environments.shopping.catalog import CatalogSpec, StoredCatalogue, open_catalogue
from agentgym.environments.shopping.catalog.generate import MAX_NEAR_MISSES, Draft, products
from agentgym.environments.shopping.catalog.vocabulary import families, family_of

SPEC = CatalogSpec(size=400, seed=3)


@pytest.fixture(scope="module")
def catalogue() -> StoredCatalogue:
    return open_catalogue(SPEC)


def test_products_are_complete(catalogue: StoredCatalogue) -> None:
    assert len(catalogue) == SPEC.size
    asins = set()
    for position in range(len(catalogue)):
        product = catalogue.product(position)
        family = family_of(product.query)
        assert catalogue.row(position) == (product.asin, product.title, product.price_tag)
        assert catalogue.position(product.asin) == position
        assert product.price_tag == f"${product.price:.2f}"
        assert 4 <= len(product.attributes) <= 6
        assert set(product.attributes) <= set(family.attributes)
        assert all(2 <= len(values) <= 6 for values in product.options.values())
        assert all(set(values) <= set(family.options[name]) for name, values in product.options.items())
        assert family.type.title() in product.title
        assert all(any(attribute in bullet.lower() for bullet in product.bullets) for attribute in product.attributes)
        asins.add(product.asin)
    assert len(asins) == SPEC.size


@given(st.text(max_size=12))
def test_unknown_names_have_no_position(name: str) -> None:
    position = open_catalogue(SPEC).position(name)
    assert position is None or 0 <= position < SPEC.size


def test_no_product_has_two_options_with_one_value() -> None:
    for family in families():
        values = [value for values in family.options.values() for value in values]
        assert len(set(values)) == len(values), family.type
        assert len(family.attributes) == 12, family.type


def clusters(drafts: list[Draft]) -> Iterator[tuple[Draft, list[Draft]]]:
    """Each base with its cluster's other products, which stand next to it."""
    for number, base in enumerate(drafts):
        if base.pivot is not None:
            near = drafts[max(number - base.near_misses, 0) : number + base.near_misses + 1]
            yield base, [other for other in near if other is not base]


def test_near_misses_miss_what_the_base_has() -> None:
    drafts = list(products(0, "train", 600))
    checked = 0
    for base, neighbours in clusters(drafts):
        assert base.pivot is not None
        attribute, name, value = base.pivot
        assert attribute in base.attributes
        assert value in base.options[name]
        misses = [
            other
            for other in neighbours
            if other.family != base.family
            or attribute not in other.attributes
            or value not in other.options.get(name, ())
            or other.cents > 1.4 * base.cents
        ]
        assert len(misses) >= base.near_misses
        checked += base.near_misses
    assert checked > 100
    assert max(draft.near_misses for draft in drafts) == MAX_NEAR_MISSES


def test_a_base_is_not_always_the_first_of_its_cluster() -> None:
    drafts = list(products(0, "train", 2000))
    firsts = [
        drafts[n - 1].family != base.family
        for n, base in enumerate(drafts)
        if base.pivot and base.near_misses > 2 and n
    ]
    assert 0.05 < sum(firsts) / len(firsts) < 0.5


def test_splits_share_no_product_and_no_brand() -> None:
    titles = {split: [draft.title for draft in products(0, split, 1500)] for split in ("train", "validation", "test")}
    brands = {split: {title.split(" ")[0] for title in titles[split]} for split in titles}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not set(titles[first]) & set(titles[second])
        assert not brands[first] & brands[second]
        one, two = (open_catalogue(CatalogSpec(100, 0, split)) for split in (first, second))
        assert not {p.asin for p in map(one.product, range(100))} & {p.asin for p in map(two.product, range(100))}


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 300))
def test_smaller_catalogues_are_beginnings_of_larger_ones(seed: int, size: int) -> None:
    small, large = list(products(seed, "train", size)), list(products(seed, "train", size + 50))
    bare = [dataclasses.replace(draft, pivot=None, near_misses=0) for draft in large]
    assert [dataclasses.replace(draft, pivot=None, near_misses=0) for draft in small] == bare[:size]


PRINT_DIGEST = """
import hashlib, sys
from agentgym.environments.shopping.catalog import CatalogSpec, open_catalogue
folder = CatalogSpec(300, int(sys.argv[1])).folder
catalogue = open_catalogue(CatalogSpec(300, int(sys.argv[1])))
digest = hashlib.sha256()
for path in sorted(folder.rglob("*")):
    if path.is_file():
        digest.update(path.name.encode() + path.read_bytes())
print(digest.hexdigest(), catalogue.search("travel mug leak proof", 50)[:3])
"""


def start_build(cache: Path, seed: int, hash_seed: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "AGENTGYM_CACHE": str(cache), "PYTHONHASHSEED": str(hash_seed)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-c", PRINT_DIGEST, str(seed)], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_builds_are_equal_to_the_byte_and_may_run_at_once(tmp_path: Path) -> None:
    shared = [start_build(tmp_path / "shared", 9, hash_seed) for hash_seed in (1, 2, 3)]
    alone = start_build(tmp_path / "alone", 9, 4)
    outputs = {process.communicate(timeout=60)[0] for process in (*shared, alone)}
    assert len(outputs) == 1
    assert next(iter(outputs)).strip()
    left = sorted(path.name for path in (tmp_path / "shared" / "shopping").iterdir())
    assert len(left) == 2, f"one catalogue and its lock, got {left}"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x", encoding="utf-8")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        built_once(tmp_path / "catalogue", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["catalogue.lock"]
    built_once(tmp_path / "catalogue", lambda folder: (folder / "whole").touch())
    assert (tmp_path / "catalogue" / "whole").exists()


def test_an_unwritable_cache_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="Set AGENTGYM_CACHE"):
        open_catalogue(CatalogSpec(100, 77))


def test_progress_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENTGYM_CACHE", str(tmp_path))
    seen: list[tuple[int, int]] = []
    open_catalogue(CatalogSpec(2500, 1), lambda done, of: seen.append((done, of)))
    assert seen[0] == (0, 2500)
    assert seen[-1] == (2500, 2500)
    assert len(seen) == 4


@pytest.mark.parametrize("size", [0, 99, 1_000_001])
def test_sizes_have_limits(size: int) -> None:
    with pytest.raises(ConfigError, match="100 to 1,000,000"):
        CatalogSpec(size)


def test_one_process_opens_a_catalogue_once() -> None:
    assert open_catalogue(SPEC) is open_catalogue(CatalogSpec(SPEC.size, SPEC.seed))


def search_in_child(query: str) -> list[int]:
    return list(open_catalogue(SPEC).search(query, 50))


def test_searches_rank_equally_in_other_processes(catalogue: StoredCatalogue) -> None:
    query = "black sheet set deep pocket"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(search_in_child, (query,)) == list(catalogue.search(query, 50))


def test_what_is_stored_is_what_was_generated(catalogue: StoredCatalogue) -> None:
    for position, draft in enumerate(products(SPEC.seed, SPEC.split, SPEC.size)):
        product = catalogue.product(position)
        assert (product.title, product.description, product.bullets) == (draft.title, draft.description, draft.bullets)
        assert (product.attributes, product.options) == (draft.attributes, draft.options)
        assert round(product.price * 100) == draft.cents
