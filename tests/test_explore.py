"""The page to play with, docs/explore: its arithmetic against the package's, and its figures."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

from srcnn_np import SGD, SRCNN, Muon, mse_backward, mse_forward
from srcnn_np.conv import conv2d_backward, conv2d_forward, conv_transpose2d_forward
from srcnn_np.conv.columns import col2im, im2col
from srcnn_np.imaging import imresize
from srcnn_np.layers import pad_backward, pad_forward, relu_backward, relu_forward
from srcnn_np.optim import orthogonal

PAGE = Path(__file__).parents[1] / "docs/explore/index.html"


@pytest.fixture
def page(chromium):
    """The page, opened anew; whatever a test does, the page's console stays silent."""
    chromium.get_log("performance")  # what came before is forgotten
    chromium.get(PAGE.as_uri())
    until(lambda: chromium.execute_script("return photo.luma !== null"))
    yield chromium
    assert chromium.get_log("browser") == []


@pytest.fixture(scope="module")
def arithmetic(chromium):
    """The page, opened once, for tests that change nothing in it."""
    chromium.get(PAGE.as_uri())
    return chromium


def until(holds, seconds=60):
    """Wait until `holds()` is true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.05)


def find(page, name):
    return page.find_element("id", name)


def cell(page, grid, i, j):
    return page.find_element("css selector", f'#{grid} [data-at="{i},{j}"]')


def choose(page, name, value):
    from selenium.webdriver.support.select import Select

    Select(find(page, name)).select_by_value(str(value))
    drawn(page)


def drawn(page):
    """Wait for the next two frames: then everything asked for is drawn."""
    page.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));"
    )


def show(page, element):
    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element
    )


def hover(page, element):
    from selenium.webdriver import ActionChains

    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element
    )
    ActionChains(page).move_to_element(element).perform()
    drawn(page)


def click(page, name):
    show(page, find(page, name))
    find(page, name).click()
    drawn(page)


def press(page, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(page).send_keys(*keys).perform()
    drawn(page)


def numbers(page, grid):
    """The numbers that a grid shows."""
    rows = page.execute_script(
        "return [...document.querySelectorAll('#' + arguments[0] + ' tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))",
        grid,
    )
    return np.array([[number(text) for text in row] for row in rows])


def number(text):
    return float(text.replace("−", "-"))


def lit(page, grid):
    """The lit places of a grid, with their factors."""
    found = page.execute_script(
        "return [...document.querySelectorAll('#' + arguments[0] + ' td.lit')]"
        ".map(cell => [cell.dataset.at, cell.dataset.factor ?? null])",
        grid,
    )
    return {tuple(map(int, at.split(","))): factor for at, factor in found}


def written_sum(page, name):
    """The value computed from the line of products on the page, and the value on the page."""
    text = find(page, name).text
    value = number(re.findall(r"= (−?[\d.]+)", text)[-1])
    products = next(line for line in text.splitlines() if "·" in line and "[" not in line)
    return eval(products.lstrip("= ").replace("−", "-").replace("·", "*")), value


# --- the arithmetic --------------------------------------------------------------------------


def compute(page, function, *arguments):
    """Call a function of the page's `nn`. Arrays go there and come back."""

    def there(a):
        if isinstance(a, np.ndarray):
            return {"shape": a.shape, "data": a.ravel().tolist()}
        if isinstance(a, dict):
            return {name: there(value) for name, value in a.items()}
        return a

    def back(a):
        if isinstance(a, dict) and set(a) == {"shape", "data"}:
            return np.array(a["data"], float).reshape(a["shape"])
        return {name: back(value) for name, value in a.items()} if isinstance(a, dict) else a

    given = json.loads(json.dumps([there(a) for a in arguments]))
    return back(
        page.execute_script(
            """
            const there = (a) => a && a.data ? nn.array(a.shape, a.data)
              : a && typeof a === "object" && !Array.isArray(a)
                ? Object.fromEntries(Object.entries(a).map(([n, v]) => [n, there(v)])) : a;
            const back = (a) => a && a.data ? { shape: a.shape, data: Array.from(a.data) }
              : a && typeof a === "object" && !Array.isArray(a)
                ? Object.fromEntries(Object.entries(a).map(([n, v]) => [n, back(v)])) : a;
            const given = arguments[1].map(there);
            const f = arguments[0].split(".").reduce((from, name) => from[name], nn);
            return back({ result: f(...given), given: Object.fromEntries(given.entries()) });
            """,
            function,
            given,
        )
    )


def result(page, function, *arguments):
    return compute(page, function, *arguments)["result"]


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def drawn_convolutions():
    """x, w, b, stride, pads and fill, of shapes that are drawn at random."""
    rng = np.random.default_rng(3)
    for _ in range(8):
        N, C, K = rng.integers(1, 4, 3)
        kh, kw = rng.integers(1, 5, 2)
        stride = [int(s) for s in rng.integers(1, 4, 2)]
        pads = [int(p) for p in rng.integers(0, 3, 4)]
        H, W = kh + rng.integers(0, 6), kw + rng.integers(0, 6)
        x, w, b = (rng.standard_normal(s) for s in ((N, C, H, W), (K, C, kh, kw), (K,)))
        yield x, w, b, stride, pads, ("zero", "replicate")[int(rng.integers(2))]


@pytest.mark.parametrize("way", ["", "columns.", "fast."])
def test_convolution_and_its_gradients(arithmetic, way):
    for x, w, b, stride, pads, fill in drawn_convolutions():
        wide = pad_forward(x, tuple(pads), fill)
        close(result(arithmetic, "padForward", x, pads, fill), wide)
        y = conv2d_forward(wide, w, b, stride=tuple(stride), backend="naive")
        if way == "fast.":  # what a network is made of has stride 1
            stride, y = [1, 1], conv2d_forward(wide, w, b, backend="naive")
        dy = np.random.default_rng(0).standard_normal(y.shape)
        dx, dw, db = conv2d_backward(dy, wide, w, stride=tuple(stride), backend="naive")
        how = [] if way == "fast." else [stride]
        close(result(arithmetic, f"{way}forward", wide, w, b, *how), y)
        close(result(arithmetic, f"{way}inputGradient", dy, w, wide.shape, *how), dx)
        close(result(arithmetic, f"{way}weightGradient", dy, wide, w.shape, *how), dw)
        close(result(arithmetic, "biasGradient", dy), db)
        close(
            result(arithmetic, "padBackward", dx, x.shape, pads, fill),
            pad_backward(dx, tuple(pads), fill),
        )


def test_columns(arithmetic):
    for x, w, _, stride, pads, fill in drawn_convolutions():
        x, kernel = pad_forward(x, tuple(pads), fill), list(w.shape[2:])
        cols = im2col(x, tuple(kernel), stride=tuple(stride))
        close(result(arithmetic, "im2col", x, kernel, stride), cols)
        dcols = np.random.default_rng(1).standard_normal(cols.shape)
        close(
            result(arithmetic, "col2im", dcols, x.shape, kernel, stride),
            col2im(dcols, x.shape, tuple(kernel), stride=tuple(stride)),
        )


def test_turned_filters_give_dx(arithmetic):
    rng = np.random.default_rng(0)
    w, dy = rng.standard_normal((3, 2, 4, 3)), rng.standard_normal((1, 3, 5, 6))
    wide = np.pad(dy, ((0, 0), (0, 0), (3, 3), (2, 2)))
    dx = conv2d_backward(dy, np.zeros((1, 2, 8, 8)), w, backend="naive")[0]
    close(result(arithmetic, "forward", wide, result(arithmetic, "turned", w), np.zeros(2)), dx)


def test_relu_and_loss(arithmetic):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 2, 3, 4)), rng.standard_normal((2, 2, 3, 4))
    x[0, 0, 0] = 0
    close(result(arithmetic, "relu", x), relu_forward(x))
    close(result(arithmetic, "reluBackward", dy, x), relu_backward(dy, x))
    close(result(arithmetic, "mse", x, dy), mse_forward(x, dy))
    close(result(arithmetic, "mseBackward", x, dy), mse_backward(x, dy))


OPTIMISERS = {
    "sgd": SGD(0.1, 0),
    "momentum": SGD(0.1, 0.9),
    "muon": Muon(0.1, 0.9),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_of_a_network(arithmetic, name):
    """Two steps: forward, loss, backward, and the update of all weights."""
    net = SRCNN("5-1-3", filters=(4, 3), seed=1).astype(np.float64)
    rng = np.random.default_rng(0)
    x, target = rng.random((2, 1, 12, 11)), rng.random((2, 1, 6, 5))
    params, memory, optimiser = dict(net.params), {}, OPTIMISERS[name]
    params = {n: p.copy() for n, p in params.items()}
    for _ in range(2):
        maps = result(arithmetic, "run", params, x)
        y = net.forward(x)
        close(maps["y"], y)
        dx = net.backward(mse_backward(y, target), need_dx=True)
        back = result(
            arithmetic, "back", params, maps, result(arithmetic, "mseBackward", maps["y"], target)
        )
        close(back["dmaps"]["a0"], dx)
        for n, g in net.grads.items():
            close(back["grads"][n], g)
        how = {"rate": 0.1, "momentum": 0.9}
        given = compute(arithmetic, f"{name}Step", params, back["grads"], memory, how)["given"]
        params, memory = given["0"], given["2"]
        optimiser.step(net.params, net.grads)
        for n, p in net.params.items():
            close(params[n], p)


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (6, 6), (5, 1), (1, 1)])
def test_orthogonal_matrices(arithmetic, shape):
    m = np.random.default_rng(0).standard_normal(shape)
    close(result(arithmetic, "orthogonal", m), orthogonal(m))
    close(result(arithmetic, "orthogonal", np.zeros(shape)), np.zeros(shape))


@pytest.mark.parametrize("size", [(12, 18), (36, 36), (48, 30), (24, 24)])
def test_bicubic_interpolation(arithmetic, size):
    picture = np.random.default_rng(0).random((24, 24))
    close(result(arithmetic, "bicubic", picture, list(size)), imresize(picture, size=size))


def test_predictions_keep_the_size(arithmetic):
    net = SRCNN("9-1-5", filters=(3, 2), seed=4)
    net.predict_border = "replicate-once"
    picture = np.random.default_rng(0).random((20, 23)).astype(np.float32)
    params = {name: p.astype(float) for name, p in net.params.items()}
    close(
        result(arithmetic, "predict", params, picture.astype(float)), net.predict_by_layers(picture)
    )


# --- figures 1 to 3 --------------------------------------------------------------------------


def test_the_filter_slides_by_mouse(page):
    hover(page, cell(page, "x1", 3, 2))
    value = numbers(page, "y1")[2, 1]
    assert written_sum(page, "sum1") == (value, value)
    assert numbers(page, "products").sum() + 1 == value
    assert "y[2, 1]" in find(page, "sum1").text


def test_the_filter_slides_by_keys(page):
    from selenium.webdriver.common.keys import Keys

    find(page, "more").send_keys(Keys.TAB)  # into the grid
    press(page, Keys.ARROW_DOWN * 3, Keys.ARROW_RIGHT * 3)
    assert page.execute_script("return document.activeElement.dataset.at") == "3,3"
    assert "y[2, 2]" in find(page, "sum1").text
    one_tab_stop = "return document.querySelectorAll('#x1 [tabindex=\"0\"]').length"
    assert page.execute_script(one_tab_stop) == 1


def test_a_finger_slides_the_filter(page):
    target = cell(page, "x1", 1, 1)
    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", target
    )
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    where = "const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + 9]"
    for kind, place in (("touchStart", (1, 1)), ("touchMove", (1, 2)), ("touchMove", (1, 3))):
        x, y = page.execute_script(where, cell(page, "x1", *place))
        points = {"type": kind, "touchPoints": [{"x": x, "y": y}]}
        page.execute_cdp_cmd("Input.dispatchTouchEvent", points)
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    drawn(page)
    assert "y[0, 2]" in find(page, "sum1").text
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


@pytest.mark.parametrize(
    "kernel, stride, padding, border",
    [
        (3, 1, 0, "zero"),
        (3, 2, 0, "zero"),
        (2, 3, 1, "zero"),
        (3, 1, 2, "replicate"),
        (1, 2, 1, "zero"),
    ],
)
def test_what_the_small_grids_show_is_the_packages(page, kernel, stride, padding, border):
    settings = {"kernel": kernel, "stride": stride, "padding": padding, "border": border}
    for name, value in settings.items():
        choose(page, name, value)
    x, w = (numbers(page, name)[None, None] for name in ("x1", "w1"))
    dy = numbers(page, "dy3")[None, None]
    np.testing.assert_array_equal(numbers(page, "x3"), x[0, 0])
    y = conv2d_forward(x, w, np.ones(1), stride=stride, backend="naive")
    dx, dw, db = conv2d_backward(dy, x, w, stride=stride, backend="naive")
    pads = (padding,) * 4
    np.testing.assert_array_equal(numbers(page, "y1"), y[0, 0])
    np.testing.assert_array_equal(numbers(page, "y2").ravel(), y.ravel())
    np.testing.assert_array_equal(numbers(page, "cols"), im2col(x, kernel, stride=stride)[0])
    np.testing.assert_array_equal(numbers(page, "dx3"), pad_backward(dx, pads, border)[0, 0])
    np.testing.assert_array_equal(numbers(page, "dw3"), dw[0, 0])
    np.testing.assert_array_equal(numbers(page, "db3").ravel(), db)
    np.testing.assert_array_equal(numbers(page, "dcols"), w.reshape(1, -1).T @ dy.reshape(1, -1))


def test_values_can_be_changed(page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    before = numbers(page, "y1")
    ActionChains(page).click(cell(page, "x1", 2, 2)).send_keys("+").perform()
    drawn(page)
    w = numbers(page, "w1")
    np.testing.assert_array_equal(numbers(page, "y1") - before, w[::-1, ::-1])  # the flip, seen
    ActionChains(page).click(cell(page, "w1", 0, 0)).send_keys(Keys.ENTER).perform()
    ActionChains(page).send_keys("0.5", Keys.ENTER).perform()
    drawn(page)
    assert numbers(page, "w1")[0, 0] == 0.5
    assert find(page, "filter").get_attribute("value") == "own"
    hover(page, cell(page, "x1", 0, 0))  # on the way to the button
    click(page, "less")
    drawn(page)
    assert numbers(page, "w1")[0, 0] == -0.5


def test_a_column_is_a_patch(page):
    choose(page, "stride", 2)
    hover(page, cell(page, "cols", 4, 3))
    column = numbers(page, "cols")[:, 3]
    np.testing.assert_array_equal(column, numbers(page, "x2")[2:5, 2:5].ravel())
    assert {p for _, p in lit(page, "cols")} == {3}
    assert "column 3 is place (1, 1)" in find(page, "sum2").text
    assert (
        number(find(page, "sum2").find_element("tag name", "strong").text)
        == numbers(page, "y2")[0, 3]
    )
    choose(page, "stride", 1)
    hover(page, cell(page, "x2", 2, 2))
    copies = page.execute_script("return document.querySelectorAll('#cols td.chosen').length")
    assert copies == 9  # the middle lies under every tap
    assert "x[2, 2] has 9 copies" in find(page, "sum2").text


@pytest.mark.parametrize(
    "stride, padding, border", [(1, 0, "zero"), (2, 1, "zero"), (1, 2, "replicate"), (3, 0, "zero")]
)
def test_each_gradient_is_the_written_sum_of_what_is_lit(page, stride, padding, border):
    for name, value in {"stride": stride, "padding": padding, "border": border}.items():
        choose(page, name, value)
    places = [
        ("dx3", 2, 2),
        ("dx3", 0, 1),
        ("dx3", 4, 4),
        ("dw3", 0, 2),
        ("dw3", 1, 1),
        ("db3", 0, 0),
    ]
    for grid, i, j in places:
        hover(page, cell(page, grid, i, j))
        value = numbers(page, grid)[i, j]
        dy, factors = numbers(page, "dy3"), lit(page, "dy3")
        assert sum(dy[at] * number(f.removeprefix("×")) for at, f in factors.items()) == value
        if factors:
            assert written_sum(page, "sum3") == (value, value)
        else:
            assert "= 0 : no place" in find(page, "sum3").text
        if grid == "dx3":
            dcols = numbers(page, "dcols")
            assert sum(dcols[at] for at in lit(page, "dcols")) == value


def test_a_gradient_is_chosen_by_keys(page):
    from selenium.webdriver.common.keys import Keys

    cell(page, "dx3", 0, 0).send_keys(Keys.ARROW_RIGHT)
    drawn(page)
    assert "dx[0, 1] = dy[0, 0]·w[0, 1] + dy[0, 1]·w[0, 0]" in find(page, "sum3").text
    assert set(lit(page, "dy3")) == {(0, 0), (0, 1)}
    assert set(lit(page, "w3")) == {(0, 0), (0, 1)}


@pytest.mark.parametrize("stride, padding", [(1, 0), (2, 0), (1, 2), (3, 1)])
def test_only_the_turned_filter_gives_dx(page, stride, padding):
    choose(page, "stride", stride)
    choose(page, "padding", padding)
    assert "not dx" in find(page, "flip-verdict").text
    click(page, "flip")
    drawn(page)
    assert "equal to dx" in find(page, "flip-verdict").text
    inside = slice(padding, padding + 5)
    np.testing.assert_array_equal(numbers(page, "flipped")[inside, inside], numbers(page, "dx3"))


def test_a_filter_that_turning_does_not_change(page):
    choose(page, "filter", "sharpen")
    assert "equal to dx" in find(page, "flip-verdict").text
    assert "the same when it is turned" in find(page, "flip-note").text


# --- figures 4 to 6 --------------------------------------------------------------------------


def test_a_value_is_traced_through_the_layers(page):
    frames = page.find_elements("css selector", "#flow .map")
    assert len(frames) == 2 * (1 + 8 + 4 + 1)
    hover(page, frames[13])  # y
    assert "made of 13 × 13 of x, 5 × 5 of a1, 5 × 5 of a2" in find(page, "sum5").text
    choose(page, "gradient-of", "traced")
    widths = page.execute_script(
        "return mapBoxes.slice(0, 14).map(b => b.box.offsetWidth / b.frame.offsetWidth * 72)"
    )
    assert widths[0] == pytest.approx(13, abs=0.6)
    seen = page.execute_script("""
        const d = layersBack().dx.data, at = [];
        d.forEach((v, i) => { if (v !== 0) at.push([Math.floor(i / 72), i % 72]); });
        return at.concat([layers.traced.at]);
    """)
    *seen, centre = np.array(seen)
    assert len(seen) > 0
    assert np.abs(np.array(seen) - centre).max() <= 6  # the receptive field, and nothing beside it


def test_the_way_back_of_figure_4_is_the_networks(page):
    same = page.execute_script("""
        const { maps, params, target } = layers, dy = nn.mseBackward(maps.y, target);
        const { dmaps } = nn.back(params, maps, dy), mine = layersBack();
        return [["dx", "a0"], ["dz1", "z1"], ["dz2", "z2"]].every(([a, b]) =>
            mine[a].data.every((v, i) => Math.abs(v - dmaps[b].data[i]) < 1e-12));
    """)
    assert same


def test_the_trained_weights_are_past_bicubic(page):
    psnr, bicubic = page.execute_script(
        "const y = nn.predict(trainedBefore(), course.picture);"
        "return [nn.psnr(y, photo.luma, 3), course.bicubic];"
    )
    assert psnr > bicubic + 0.8


def test_training_passes_bicubic(page):
    click(page, "start")
    until(lambda: find(page, "loss").get_attribute("data-value"))
    first = float(find(page, "loss").get_attribute("data-value"))
    until(lambda: "past bicubic" in find(page, "training-verdict").text)
    assert (
        number(find(page, "psnr").text.removesuffix(" dB"))
        > number(find(page, "bicubic").text.removesuffix(" dB"))
        or "past" in find(page, "training-verdict").text
    )
    assert float(find(page, "loss").get_attribute("data-value")) < first
    click(page, "start")  # a pause
    assert find(page, "start").text == "Go on"
    time.sleep(0.5)
    steps = find(page, "steps").text
    time.sleep(0.5)
    assert find(page, "steps").text == steps
    choose(page, "weights", "live")
    click(page, "reset")
    assert find(page, "steps").text == "0"
    assert find(page, "start").text == "Start"


@pytest.mark.parametrize("optimiser", ["sgd", "momentum"])
def test_every_optimiser_lowers_the_loss(page, optimiser):
    choose(page, "optimiser", optimiser)
    click(page, "start")
    losses = []

    def lower():
        loss = find(page, "loss").get_attribute("data-value")
        losses.extend([float(loss)] if loss else [])
        return losses and losses[-1] < 0.2 * losses[0]

    until(lower)
    assert np.isfinite(losses).all()


def test_the_divider(page):
    from selenium.webdriver.common.keys import Keys

    find(page, "position").send_keys(Keys.HOME)
    assert "100%" in find(page, "before").get_attribute("style")
    find(page, "position").send_keys(Keys.ARROW_RIGHT)
    assert "99%" in find(page, "before").get_attribute("style")


def test_the_readers_own_photograph(page, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(small).resize((300, 200)).save(tmp_path / "mine.png")
    before = find(page, "bicubic").text
    find(page, "file").send_keys(str(tmp_path / "mine.png"))
    until(lambda: find(page, "bicubic").text != before)
    click(page, "start")
    until(lambda: find(page, "psnr").text != "–")


ALL = {f"conv{n}.{kind}" for n in (1, 2, 3) for kind in "wb"}
REDDENS = {
    "sign": {"conv2.w", "conv2.b"},  # conv1 gets it twice
    "flip": {"conv1.w", "conv1.b", "conv2.w", "conv2.b"},
    "mask": {"conv1.w", "conv1.b", "conv2.w", "conv2.b"},
    "mean": ALL,
    "turned": set(),  # forwards and backwards alike
    "shift": set(),
}


def red(page):
    rows = page.find_elements("css selector", "#checks tr")
    found = {row.get_attribute("data-array"): "✗ wrong" in row.text for row in rows}
    assert set(found) == ALL
    assert all(("✓ agrees" in row.text) != found[row.get_attribute("data-array")] for row in rows)
    return {name for name, wrong in found.items() if wrong}


def fell(page):
    note = find(page, "fault-note")
    until(lambda: note.get_attribute("data-last"))
    return float(note.get_attribute("data-last")) < float(note.get_attribute("data-first"))


def test_unbroken_every_gradient_agrees(page):
    assert red(page) == set()
    assert find(page, "check-verdict").text == "✓ every gradient agrees"
    click(page, "redraw")
    assert red(page) == set()
    assert fell(page)


@pytest.mark.parametrize("fault", REDDENS)
def test_the_check_says_where_it_is_broken_though_the_loss_falls(page, fault):
    until(lambda: find(page, "fault-note").get_attribute("data-last"))
    page.execute_script("delete document.getElementById('fault-note').dataset.last")
    click(page, f"fault-{fault}")
    assert red(page) == REDDENS[fault]
    for _ in range(3):
        click(page, "redraw")
        assert red(page) == REDDENS[fault]
    assert fell(page)
    click(page, f"fault-{fault}")
    assert red(page) == set()


# --- the page itself -------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_transposed_convolution_is_the_packages(page, stride):
    choose(page, "stride7", stride)
    x, w = numbers(page, "x7"), numbers(page, "w7")
    y = conv_transpose2d_forward(x[None, None], w[None, None], np.zeros(1), stride=stride)[0, 0]
    np.testing.assert_allclose(numbers(page, "y7"), y)
    for i, j in ((0, 0), (2, 3), (len(y) - 1, 1)):
        hover(page, cell(page, "y7", i, j))
        drawn(page)
        assert written_sum(page, "sum7") == (pytest.approx(y[i, j]), pytest.approx(y[i, j]))
        reached = [
            (a, c)
            for a, c in np.ndindex(x.shape)
            if 0 <= i - stride * a < 3 and 0 <= j - stride * c < 3
        ]
        assert sorted(lit(page, "x7")) == sorted(reached)
    hover(page, cell(page, "x7", 1, 2))
    drawn(page)
    places = [(stride + u, 2 * stride + v) for u, v in np.ndindex(3, 3)]
    assert sorted(lit(page, "y7")) == sorted(places)
    assert "reaches 9 places of y" in find(page, "sum7").text


def test_the_page_is_small_and_needs_nothing_from_elsewhere(page):
    assert PAGE.stat().st_size < 400_000
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    addresses = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    own = ("data:", "blob:", "chrome:", "chrome-untrusted:")
    assert {a for a in addresses if not a.startswith(own)} == {page.current_url}


def test_links_lead_somewhere():
    for link in re.findall(r'href="([^"#]+)(?:#[^"]*)?"', PAGE.read_text("utf-8")):
        if not link.startswith(("https://", "data:")):
            assert (PAGE.parent / link).exists(), link


def test_headings_and_landmarks(page):
    tags = page.execute_script(
        "return [...document.querySelectorAll('h1, h2')].map(h => h.tagName)"
    )
    assert tags == ["H1"] + 7 * ["H2"]
    for tag in ("header", "main", "nav", "footer"):
        assert len(page.find_elements("tag name", tag)) == 1
    assert page.find_element("tag name", "html").get_attribute("lang") == "en"
    assert page.execute_script("return document.querySelector('[name=description]').content")
    unnamed = page.execute_script(
        "return [...document.querySelectorAll('select, input, button, [role=grid], [role=img]')]"
        ".filter(e => e.offsetParent !== null).map(e => [e.id, e])"
    )
    for name, element in unnamed:
        assert element.accessible_name, name


@pytest.mark.parametrize("padding", [0, 2])
def test_a_phone_has_no_need_to_scroll_sideways(page, padding):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        choose(page, "padding", padding)
        assert page.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_dark_where_the_system_is(page):
    look = "return getComputedStyle(document.body).backgroundColor"
    light = page.execute_script(look)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        assert page.execute_script(look) != light
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
