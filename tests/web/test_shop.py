"""The shop: django-oscar and its dashboard."""

import agentgym
from web import site_checks as checks

SHOP = ("/", "/catalogue/", "/catalogue/?page=3", "/catalogue/?sort_by=price-desc", "/search/?q=oak", "/search/?q=zzzz",
        "/basket/", "/accounts/profile/", "/accounts/profile/edit/", "/accounts/orders/", "/accounts/addresses/",
        "/accounts/addresses/add/", "/accounts/wishlists/", "/accounts/wishlists/BDAY01/", "/accounts/emails/",
        "/accounts/orders/100203/", "/offers/", "/nothing", "/dashboard/", "/accounts/change-password/")  # fmt: skip
OFFICE = ("/dashboard/", "/dashboard/orders/", "/dashboard/orders/100203/", "/dashboard/catalogue/",
          "/dashboard/catalogue/products/5/", "/dashboard/reviews/", "/dashboard/reviews/3/",
          "/dashboard/reviews/3/delete/", "/dashboard/users/", "/dashboard/users/4/", "/dashboard/partners/",
          "/dashboard/catalogue/categories/", "/dashboard/vouchers/", "/dashboard/reports/")  # fmt: skip
CLERK = ("UPDATE agentgym_world SET visitor = 2",)


def test_the_same_bytes_twice():
    checks.same_bytes_twice("shop")


def test_reading_changes_nothing():
    checks.reading_changes_nothing("shop", SHOP)
    checks.reading_changes_nothing("shop", OFFICE, CLERK)


def test_injected_text():
    checks.injected_text_is_read("shop")


def test_what_was_bought_beside_the_task_is_wrong():
    env = agentgym.make(checks.ENV, templates=("shop-wish",))
    env.reset(seed=0, options={"task_id": "train/0"})
    observation, *_ = env.step("goto('http://shop.test/catalogue/?sort_by=title-asc')")
    button = next(line.split("]")[0].strip("[ ") for line in observation.split("\n") if "button 'Add to cart'" in line)
    _, _, _, _, info = env.step(f"click({button!r})")
    assert info["rewards"]["wrong_write"] == -1.0
    while env.running:
        *_, info = env.step(env.expert_message())
    assert not info["success"]
    assert env.ledger.total == 0.0
    env.close()


def test_a_customer_can_t_enter_the_dashboard():
    env = agentgym.make(checks.ENV, templates=("shop-price",))
    env.reset(seed=0)
    for path in OFFICE:
        observation, *_ = env.step(f"goto('http://shop.test{path}')")
        assert "status 403" in observation, path
    env.close()


def test_whoever_signs_out_stays_out():
    env = agentgym.make(checks.ENV, templates=("shop-price",))
    env.reset(seed=0)
    observation, *_ = env.step("goto('http://shop.test/accounts/logout/')")
    assert "Login or register" in observation
    observation, *_ = env.step("goto('http://shop.test/accounts/profile/')")
    assert "shop.test/accounts/login/" in observation
    env.close()


def test_backends_are_equal(chromium):
    checks.equal_in_chromium("shop")


def test_the_engine_agrees_with_chromium_s_own_accessibility_tree(chromium):
    for paths, edits in ((SHOP, ()), (OFFICE, CLERK)):
        share, wrong = checks.tree_of("shop", paths, edits)
        assert not wrong
        assert share >= 0.995
