"""The report: what its page holds, and that it works in a browser."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from srcnn_np import SRCNN, Model, load_model, save_model
from srcnn_np.checkpoint import log_path, read_log
from srcnn_np.cli import main
from srcnn_np.data import to_channels
from srcnn_np.evaluation import evaluate_picture
from srcnn_np.imaging import Picture
from srcnn_np.model import shipped_models
from srcnn_np.report import SHOWN_H, SHOWN_W, _bicubic, enlargements, report

LOG = """sub_images,seconds,rate,loss,psnr,watched
32,0.1,1.0,0.5,,
64,0.2,0.9,0.25,20.0,
"""
GREY = np.full((90, 120), 240, np.uint8)
COLOUR = np.random.default_rng(0).integers(0, 256, (40, 61, 3), np.uint8)


def dark_model(scale=2):
    """A model that answers a dark grey to everything."""
    net = SRCNN("3-1-1", filters=(2, 2))
    for p in net.params.values():
        p[:] = 0
    net.params["conv3.b"][:] = 0.2
    return Model(net, scale)


class Page(HTMLParser):
    """The texts, images and addresses of a page."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.images, self.addresses, self.tags = [], {}, [], []
        self.feed(html)
        self.text = " ".join("".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag == "img":
            data = base64.b64decode(attrs["src"].removeprefix("data:image/png;base64,"))
            self.images[attrs["alt"]] = np.asarray(Image.open(io.BytesIO(data)))

    def handle_data(self, data):
        self.texts.append(data)


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a model and a picture."""
    monkeypatch.chdir(tmp_path)
    save_model("model.npz", dark_model())
    Image.fromarray(GREY).save("p.png")
    return tmp_path


# --- what it holds -------------------------------------------------------------------------


def test_the_page_holds_the_pictures_the_measures_and_the_filters():
    model = dark_model(3)
    page = Page(report(Picture(COLOUR), 3, model, name="p.png", model_name="m"))
    assert list(page.images) == ["bicubic", "model", "original", "The filters"]
    for method, pixels in enlargements(COLOUR, 3, model, original=True).items():
        np.testing.assert_array_equal(page.images[method], pixels)
    np.testing.assert_array_equal(page.images["original"], COLOUR[:39, :60])
    assert "Shown: 60 x 39 pixels" in page.text
    for method, m in evaluate_picture(to_channels(Picture(COLOUR)), 3, model).items():
        assert re.search(rf"{method}\s*{m['psnr']:.2f}\s*{m['ssim']:.4f}", page.text)


def test_a_small_picture_is_enlarged_and_not_measured():
    page = Page(report(Picture(COLOUR), 2, dark_model(), original=False))
    assert list(page.images) == ["bicubic", "model", "The filters"]
    assert page.images["model"].shape == (80, 122, 3)
    assert "table" not in page.tags
    assert "original" not in page.text


def test_the_page_needs_nothing_from_elsewhere():
    html = report(Picture(COLOUR), 2, dark_model())
    assert all(address.startswith("data:") for address in Page(html).addresses)
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html


def test_of_a_large_picture_the_middle_is_shown_and_all_is_measured():
    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (SHOWN_H + 200, 64), np.uint8)
    page = Page(report(Picture(large), 2, dark_model()))
    np.testing.assert_array_equal(page.images["original"], large[100:-100])
    assert f"the middle 64 x {SHOWN_H} of 64 x {SHOWN_H + 200} pixels" in page.text
    assert f"{evaluate_picture(large, 2, dark_model())['model']['psnr']:.2f}" in page.text
    wide = rng.integers(0, 256, (16, SHOWN_W // 2 + 10), np.uint8)
    page = Page(report(Picture(wide), 2, dark_model(), original=False))
    assert page.images["model"].shape == (32, SHOWN_W)


def test_a_colour_model():
    model = Model(SRCNN("3-1-1", filters=(2, 2), channels=3), 2, "ycbcr")
    page = Page(report(Picture(COLOUR), 2, model))
    measured = evaluate_picture(to_channels(Picture(COLOUR), "ycbcr"), 2, model)
    assert f"{measured['model']['psnr']:.2f}" in page.text
    assert page.images["model"].shape == (40, 60, 3)


def test_names_are_shown_as_text():
    name = """<script>alert("1")</script> & 'x' $width"""
    page = Page(report(Picture(COLOUR), 2, dark_model(), name=name, model_name=name))
    assert page.tags.count("script") == 1
    assert page.text.count(name) == 3


def test_16_bits_and_transparency():
    deep = Picture(COLOUR[..., 0].astype(np.uint16) * 257, np.ones((40, 61), np.uint8))
    page = Page(report(deep, 2, dark_model()))
    np.testing.assert_array_equal(page.images["original"], COLOUR[:, :60, 0])


# --- the command ---------------------------------------------------------------------------


def test_the_command_takes_the_scale_and_the_log_of_the_model(capsys, folder):
    code, out, err = run(capsys, "report", "p.png", "--model", "model.npz")
    assert code == 0, err
    assert "p.png -> p.html" in out
    assert "The training" not in (folder / "p.html").read_text()
    (folder / "model-log.csv").write_text(LOG)
    assert run(capsys, "report", "p.png", "-o", "out.html", "--model", "model.npz")[0] == 0
    assert "The training" in Page((folder / "out.html").read_text()).images
    (folder / "other.csv").write_text(LOG)
    arguments = ("--scale", 2, "--enlarge", "--log", "other.csv", "--force")
    assert (
        run(capsys, "report", "p.png", "-o", "out.html", "--model", "model.npz", *arguments)[0] == 0
    )
    assert "original" not in Page((folder / "out.html").read_text()).images


def test_shipped_models_have_their_logs_beside_them(capsys, folder):
    assert run(capsys, "report", "p.png", "--scale", 2)[0] == 0
    assert "The training" in Page((folder / "p.html").read_text()).images
    for name, path in shipped_models().items():
        card = load_model(name).training
        best = {row["sub_images"]: row["psnr"] for row in read_log(log_path(path))}
        assert best[card["sub_images_seen"]] == card["held_out"]["psnr"]


FORCED = ["--model", "model.npz", "--force"]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["p.png"], "give --scale"),
        (["p.png", "--model", "model.npz", "--scale", "3"], "trained for scale 2"),
        (["p.png", "-o", "p.png", "--model", "model.npz", "--force"], "name ending in .html"),
        (["p.png", "-o", "there.html", "--model", "model.npz"], "exists already"),
        (["p.png", "-o", "no/p.html", "--model", "model.npz"], "no folder"),
        (["none.png", "--model", "model.npz"], "does not exist"),
        (["tiny.png", "--model", "model.npz"], "too small to be measured"),
        (["p.png", "--model", "unnamed.npz"], "does not say its scale"),
        (["p.png", "--model", "model.npz", "--log", "none.csv"], "cannot be read"),
        (["p.png", "--model", "model.npz", "--log", "p.png"], "is not a log"),
        (["p.png", "--model", "model.npz", "--log", "there.html"], "is not a log"),
        (["p.png", "--model", "model.npz", "--log", "short.csv"], "is not a log"),
        (["p.png", "--model", "model.npz", "--log", "words.csv"], "is not a log"),
        (["p.png", "--model", "model.npz", "--log", "nan.csv"], "is not a log"),
        (["p.png", "--model", "model.npz", "--log", "begun.csv"], "begun.csv holds no row yet"),
        (["same.html", "--model", "model.npz", "--force"], "same.html is the picture to enlarge"),
        (
            ["p.png", "-o", "link.html", "--model", "model.npz", "--force"],
            "is the picture to enlarge",
        ),
        (
            ["p.png", "-o", "l.html", "--model", "model.npz", "--log", "l.html", "--force"],
            "is the log",
        ),
        (["tiny.png", "--model", "model.npz"], "tiny.png: a picture of 9 x 9"),
    ],
)
def test_refusals_are_one_sentence_and_write_nothing(capsys, folder, arguments, sentence):
    save_model("unnamed.npz", dark_model(None))
    Image.new("L", (9, 9)).save("tiny.png")
    (folder / "there.html").write_text("mine")
    (folder / "short.csv").write_text("sub_images,loss\n1,2\n")
    (folder / "words.csv").write_text(LOG.replace("0.5", "half"))
    (folder / "nan.csv").write_text(LOG.replace("0.5", "nan"))
    (folder / "begun.csv").write_text(LOG.partition("\n")[0] + "\n")
    (folder / "l.html").write_text(LOG)
    shutil.copy("p.png", "same.html")
    (folder / "link.html").symlink_to("p.png")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, out, err = run(capsys, "report", *arguments)
    assert code == 1
    assert sentence in err.splitlines()[-1]
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_what_was_there_stays_where_writing_fails(capsys, folder, monkeypatch):
    (folder / "p.html").write_text("mine")

    def half(path, text, *how):
        path.write_bytes(b"<!doc")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    code, _, err = run(capsys, "report", "p.png", "--model", "model.npz", "--force")
    assert code == 1
    assert err.endswith("p.html cannot be written: No space left on device\n")
    assert (folder / "p.html").read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["model.npz", "p.html", "p.png"]


# --- in a browser --------------------------------------------------------------------------


@pytest.fixture
def page(chromium, tmp_path):
    """A report on a light grey picture, which the model turns dark."""
    path = tmp_path / "report.html"
    path.write_text(report(Picture(GREY), 2, dark_model(), name='"<script>x'), "utf-8")
    chromium.get_log("performance")  # what came before is forgotten
    chromium.get(path.as_uri())
    yield chromium
    assert chromium.get_log("browser") == []


def find(page, name):
    return page.find_element("id", name)


def choose(page, name, text):
    from selenium.webdriver.support.select import Select

    Select(find(page, name)).select_by_visible_text(text)


def light_share(page):
    """Which share of the shown picture's width is light."""
    pixels = np.asarray(Image.open(io.BytesIO(find(page, "stage").screenshot_as_png)).convert("L"))
    row = pixels[len(pixels) // 4]
    return np.mean(row > 128)


def near(share):
    return pytest.approx(share, abs=0.015)


def centre(page):
    """Middle of the picture on the screen, and its width."""
    box = page.execute_script("return document.getElementById('stage').getBoundingClientRect()")
    return box["left"] + box["width"] / 2, box["top"] + box["height"] / 2, box["width"]


def touch(page, start, end):
    """A finger goes down, moves, and is lifted."""
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    places = [start, ((start[0] + end[0]) / 2, start[1]), end]
    for kind, place in zip(("touchStart", "touchMove", "touchMove"), places, strict=True):
        points = [{"x": place[0], "y": place[1]}]
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_the_pictures_load_and_nothing_is_fetched(page):
    sizes = page.execute_script("return [...document.images].map(i => [i.alt, i.naturalWidth])")
    assert [name for name, _ in sizes] == ["bicubic", "model", "original", "The filters"]
    assert all(width > 0 for _, width in sizes)
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    addresses = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    # A browser that has just started may still be loading a page of its own.
    own = ("data:", "chrome:", "chrome-untrusted:")
    assert {a for a in addresses if not a.startswith(own)} == {page.current_url}


def test_the_page_may_not_fetch_anything(page):
    page.execute_script("""
        window.refused = [];
        document.addEventListener("securitypolicyviolation", e => refused.push(e.blockedURI));
        new Image().src = "http://127.0.0.1:9/x.png";
        fetch("http://127.0.0.1:9/y").catch(() => {});
    """)
    refused = page.execute_script("return window.refused")
    assert set(refused) == {"http://127.0.0.1:9/x.png", "http://127.0.0.1:9/y"}
    assert any("Content Security Policy" in entry["message"] for entry in page.get_log("browser"))


def test_a_name_is_text(page):
    assert find(page, "stage").is_displayed()
    assert page.find_element("tag name", "h1").text == '"<script>x, shrunk and restored x2'
    assert page.title == '"<script>x, shrunk and restored x2'


def test_the_keyboard_moves_the_divider(page):
    from selenium.webdriver.common.keys import Keys

    assert light_share(page) == near(0.5)
    position = find(page, "position")
    position.send_keys(Keys.ARROW_RIGHT * 20)
    assert light_share(page) == near(0.7)
    position.send_keys(Keys.HOME)
    assert light_share(page) == near(0)
    position.send_keys(Keys.END)
    assert light_share(page) == near(1)
    assert position.accessible_name.startswith("Divider")


def test_the_mouse_moves_the_divider(page):
    from selenium.webdriver import ActionChains

    width, stage = round(centre(page)[2]), find(page, "stage")

    def press():
        return ActionChains(page).move_to_element(stage).click_and_hold()

    press().move_by_offset(-round(0.3 * width), 0).perform()
    assert light_share(page) == near(0.2)
    assert find(page, "position").get_attribute("value") == "20"
    ActionChains(page).release().move_to_element(stage).perform()  # let go: it stays
    assert light_share(page) == near(0.2)
    press().move_by_offset(-width // 2 - 8, 0).release().perform()  # beyond the picture
    assert light_share(page) == near(0)
    ActionChains(page).click(stage).perform()
    assert light_share(page) == near(0.5)


def test_a_finger_moves_the_divider(page):
    x, y, width = centre(page)
    touch(page, (x, y), (x + 0.25 * width, y))
    assert light_share(page) == near(0.75)


def test_on_a_zoomed_picture_a_finger_moves_the_divider_only_where_it_is(page):
    choose(page, "zoom", "4 : 1")
    assert page.execute_script("return stage.offsetWidth") == 4 * GREY.shape[1]
    x, y, width = centre(page)
    touch(page, (x - 0.3 * width, y), (x - 0.2 * width, y))
    assert light_share(page) == near(0.5)
    touch(page, (x, y), (x + 0.2 * width, y))
    assert light_share(page) == near(0.7)
    choose(page, "zoom", "fit")
    assert light_share(page) == near(0.7)


def test_the_two_pictures_are_chosen(page):
    choose(page, "left", "model")
    assert light_share(page) == near(0)
    choose(page, "right", "original")
    assert light_share(page) == near(0.5)
    choose(page, "left", "original")
    assert light_share(page) == near(1)
    choose(page, "right", "model")  # which lies below the left one
    assert light_share(page) == near(0.5)


def test_a_finger_that_scrolls_the_page_leaves_the_divider(page):
    x, y, width = centre(page)
    page.execute_script(f"""
        const send = (kind, x) => stage.dispatchEvent(new PointerEvent(kind,
            {{pointerId: 1, pointerType: "touch", button: 0, clientX: x, clientY: {y}}}));
        stage.setPointerCapture = () => {{}};
        send("pointerdown", {x - 0.3 * width});
        send("pointermove", {x - 0.3 * width});
        window.seen = at;
        send("pointercancel", 0);
    """)
    assert page.execute_script("return seen") == pytest.approx(20, abs=0.1)
    assert light_share(page) == near(0.5)
    assert find(page, "position").get_attribute("value") == "50"


def test_the_divider_makes_nothing_wider(page):
    from selenium.webdriver.common.keys import Keys

    width = "return document.getElementById('view').scrollWidth"
    page.set_window_size(500, 900)  # so that the picture is as wide as the page
    try:
        before = page.execute_script(width)
        find(page, "position").send_keys(Keys.END)
        assert page.execute_script(width) == before
    finally:
        page.set_window_size(1000, 900)


def test_a_phone_has_no_need_to_scroll_sideways(page):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_arrow_keys_go_on_after_a_drag(page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    width, stage = round(centre(page)[2]), find(page, "stage")
    drag = ActionChains(page).move_to_element(stage).click_and_hold()
    drag.move_by_offset(round(0.2 * width), 0).release().perform()
    ActionChains(page).send_keys(Keys.ARROW_LEFT * 10).perform()
    assert light_share(page) == near(0.6)


@pytest.mark.parametrize("size", [(1366, 768), (390, 844)])
def test_the_slider_is_as_wide_as_the_picture(page, size):
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        boxes = [
            page.execute_script(f"return document.getElementById('{name}').getBoundingClientRect()")
            for name in ("stage", "position", "tag-left", "tag-right")
        ]
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    stage, position, left, right = boxes
    assert position["left"] == pytest.approx(stage["left"], abs=3)
    assert position["width"] == pytest.approx(stage["width"], abs=5)
    assert position["bottom"] < size[1]  # all of it is seen at once
    assert stage["left"] < left["left"] < left["right"] < right["left"] < right["right"]
    assert right["right"] < stage["right"]


def test_tags_say_which_picture_is_where(page):
    assert [find(page, f"tag-{side}").text for side in ("left", "right")] == ["bicubic", "model"]
    choose(page, "right", "original")
    assert find(page, "tag-right").text == "original"


def test_panels_stand_below_each_other_on_a_phone(page):
    sizes = {}
    for width in (390, 1200):
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        try:
            sizes[width] = page.execute_async_script("""
                const plot = document.querySelector(".plot"), done = arguments[0];
                const wait = () => plot.complete && plot.naturalWidth
                    ? done([plot.naturalWidth, plot.naturalHeight]) : setTimeout(wait, 20);
                setTimeout(wait, 100);
            """)
        finally:
            page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert sizes[390][1] > 1.5 * sizes[390][0]
    assert sizes[1200][0] > 1.5 * sizes[1200][1]


def test_plots_are_dark_where_the_page_is(page):
    look = "return getComputedStyle(document.querySelector('.plot')).filter"
    assert page.execute_script(look) == "none"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        assert "invert" in page.execute_script(look)
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_pictures_keep_their_colour_profile():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    html = report(Picture(COLOUR, metadata={"icc_profile": profile}), 2, dark_model())
    shown = re.findall(r'data-method.*?base64,([^"]+)', html)
    assert len(shown) == 3
    for png in shown:
        assert Image.open(io.BytesIO(base64.b64decode(png))).info["icc_profile"] == profile


def test_odd_entries_of_a_card_do_no_harm(capsys, folder):
    (folder / "model-log.csv").write_text(LOG)
    model = dark_model()
    for odd in (1e308, None, "1", "nan", [], {}, [1], {"bicubic": []}, -1e308, [{"bicubic": 1}]):
        for training in ({"held_out": odd}, {"held_out": {"bicubic": odd}}, {"recipe": odd}):
            model.training, model.figures = training, {"Set5": odd, "of": {"psnr": odd}}
            assert _bicubic(model) is None
            save_model("model.npz", model, force=True)
            code, out, _ = run(capsys, "models", "model.npz")
            assert code == 0
            assert json.loads(out)["training"] == training
        if odd == 1e308:
            assert run(capsys, "report", "p.png", "--model", "model.npz")[0] == 0
