"""The pages without a browser: their unit tests, types, words, and what they must not contain."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
NODE = ROOT / ".venv" / "bin" / "node"
LOCALES = ("zh-CN", "en")
TIMEOUT_SECONDS = 120

PAGES = sorted(STATIC.glob("*.html"))
MODULES = sorted((STATIC / "js").rglob("*.js"))
SHEETS = sorted((STATIC / "css").glob("*.css"))


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )


def catalogue(locale: str) -> dict[str, str | dict[str, str]]:
    words: dict[str, str | dict[str, str]] = json.loads(
        (STATIC / "js" / "i18n" / f"{locale}.json").read_text(encoding="utf-8")
    )
    return words


def texts(value: str | dict[str, str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value.values())


def test_the_unit_tests_of_the_pages_pass() -> None:
    """`node --test` over tests/static, the golden files of the room included."""
    files = sorted(str(path) for path in (ROOT / "tests" / "static").glob("*.test.mjs"))
    done = run(NODE, "--test", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pages_type_check() -> None:
    """`tsc --checkJs` with strict types over all modules finds nothing."""
    done = run(NODE, ROOT / "node_modules" / "typescript" / "bin" / "tsc", "-p", "jsconfig.json",
               cwd=STATIC)  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_every_module_is_checked() -> None:
    """No module hides from the type checker."""
    unchecked = [path.name for path in MODULES if not path.read_text().startswith("// @ts-check\n")]
    assert unchecked == []


def test_the_modules_keep_to_the_floor_browsers_and_to_text_nodes() -> None:
    """Nothing newer than Chrome 90 and Safari 15.4, no markup from strings, no eval."""
    done = run(NODE, ROOT / "tests" / "static" / "syntax.mjs")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_has_no_inline_script_style_or_handler(page: Path) -> None:
    """The strict content security policy would refuse them."""
    markup = page.read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:", markup)
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", markup))
    assert re.findall(r"(?:src|href)=\"(?!/static/)[^\"]*\"", markup) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_everything_a_page_loads_exists(page: Path) -> None:
    for address in re.findall(r"(?:src|href)=\"/static/([^\"]+)\"", page.read_text()):
        if not address.startswith("vendor/"):
            assert (STATIC / address).is_file(), address


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_a_style_sheet_loads_nothing_and_keeps_to_the_floor(sheet: Path) -> None:
    """No outside fonts or pictures; no nesting, layers, :has, dvh or color-mix."""
    rules = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(
        r"@import|url\(|:has\(|@layer|@container|color-mix|\d[dsl]vh|\n\s+&", rules
    )


def test_colours_stand_in_the_token_file_in_both_schemes() -> None:
    """Every token that is a colour of the page has a value for dark, or is meant for both."""
    tokens = (STATIC / "css" / "tokens.css").read_text()
    light, dark = tokens.split("@media (prefers-color-scheme: dark)")
    named = set(re.findall(r"(--[a-z0-9-]+): #", light.split("/* over the stage")[0]))
    again = set(re.findall(r"(--[a-z0-9-]+): #", dark))
    assert named - again == {"--accent-ink"}


def used_keys() -> tuple[set[str], set[str]]:
    """Keys that the modules name, and prefixes of those they build from a code of the server."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)
    keys = set(re.findall(r"\bt\(\s*\"([a-z_]+\.[a-z_.-]+)\"", source))
    keys |= set(re.findall(r"begin\(\"([a-z_.]+)\"", source))
    return keys, set(re.findall(r"`([a-z_]+\.)\$\{", source))


def test_both_languages_have_the_same_keys() -> None:
    assert set(catalogue("zh-CN")) == set(catalogue("en"))


def test_no_key_is_missing_and_none_is_unused() -> None:
    """Every key that a module names is in the catalogue, and nothing else is."""
    keys, prefixes = used_keys()
    known = set(catalogue("en"))
    assert keys - known == set()
    assert {key for key in known - keys if not key.startswith(tuple(prefixes))} == set()


def test_every_refusal_of_the_server_has_words() -> None:
    """Each row of the table of problems is a key."""
    from liveserver.problems import PROBLEMS

    assert {f"problem.{name}" for name in PROBLEMS} - set(catalogue("en")) == set()


@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_is_there_and_translated(locale: str) -> None:
    """No empty text; Chinese in one catalogue, none in the other; full-width stops in Chinese."""
    han = re.compile(r"[\u4e00-\u9fff]")
    for key, value in catalogue(locale).items():
        for text in texts(value):
            assert text.strip(), key
            if locale == "en":
                assert not han.search(text), key
            elif han.search(text):
                plain = re.sub(r"https?://\S+", "", text)
                assert not re.search(r"[,:?!()]", plain), key


def test_both_languages_fill_the_same_places() -> None:
    """`{n}` and its like stand in both texts of a key."""
    chinese, english = catalogue("zh-CN"), catalogue("en")
    for key, value in english.items():
        places = {frozenset(re.findall(r"\{(\w+)\}", text)) for text in texts(value)}
        there = {frozenset(re.findall(r"\{(\w+)\}", text)) for text in texts(chinese[key])}
        assert places == there, key


def test_plural_forms_are_those_of_the_language() -> None:
    for locale, forms in (("en", {"one", "other"}), ("zh-CN", {"other"})):
        for key, value in catalogue(locale).items():
            assert isinstance(value, str) or set(value) == forms, (locale, key)
