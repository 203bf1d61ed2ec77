"""The pages of the site, for MkDocs: the repository's own files, at the places they have there.

Every link that works in the repository therefore works on the site. A linked source file becomes a
page of its own, a notebook a page with its results. Formulas become MathML, which browsers draw and
read aloud by themselves: nothing is fetched from elsewhere.
"""

import re
from functools import partial
from pathlib import Path

import nbconvert
from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = "README.md", "docs/*.md", "benchmarks/README.md", "examples/exercises/README.md"
NOTEBOOKS = "examples/*.ipynb"
COPIED = "docs/*.svg", "docs/*.png", "benchmarks/results/*.png", "docs/explore/*"
LEFT_OUT = {"docs/package.md"}  # for a package index
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
_ANYTHING = re.compile(
    r"```math\n(.*?)```|\$\$(.+?)\$\$|```.*?```|`[^`\n]+`|\$([^$\n]+)\$", re.DOTALL
)


def on_files(files: Files, config: dict) -> Files:
    """Add every page, every source file that one links to, and the files pages show."""
    add = partial(File.generated, config)
    texts = {}
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            texts[_name(path)] = path.read_text("utf-8")
    for path in sorted(ROOT.glob(NOTEBOOKS)):
        text, pictures = _of_notebook(path)
        texts[f"{_name(path)}.md"] = text
        for name, data in pictures.items():
            files.append(add(f"{_name(path.parent)}/{name}", content=data))
    linked = {
        place
        for name, text in texts.items()
        if name not in LEFT_OUT
        for link, _ in _LINK.findall(text)
        if (place := _source(name, link))
    }
    for place in sorted(linked):
        texts[f"{place}.md"] = _of_source(ROOT / place)
    for pattern in COPIED:
        for path in sorted(ROOT.glob(pattern)):
            files.append(_copied(add, path))
    for name, text in texts.items():
        if name not in LEFT_OUT:
            files.append(add(name, content=_links_to_pages(name, _with_formulas(text))))
    return files


def on_page_markdown(markdown: str, page: object, config: dict, **_: object) -> str:
    """Put buttons above a notebook that open it elsewhere, where the repository is known."""
    place = page.file.src_uri.removesuffix(".md")
    github = config["repo_url"] and re.fullmatch(r"https://github\.com/(.+?)/?", config["repo_url"])
    if not (github and place.endswith(".ipynb")):
        return markdown
    links = {
        "Colab": f"https://colab.research.google.com/github/{github[1]}/blob/main/{place}",
        "Binder": f"https://mybinder.org/v2/gh/{github[1]}/main?labpath={place}",
    }
    buttons = (f"[Open in {where}]({link}){{ .md-button }}" for where, link in links.items())
    return f"{' '.join(buttons)}\n\n{markdown}"


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _copied(add, path: Path) -> File:
    """Copy a file as it is; in a page, links to other pages become the site's."""
    if path.suffix != ".html":
        return add(_name(path), abs_src_path=str(path))
    text = re.sub(r'href="([\w./-]+/)README\.md"', r'href="\1index.html"', path.read_text("utf-8"))
    text = re.sub(r'href="([\w./-]+)\.md(#[\w-]*)?"', r'href="\1/\2"', text)
    text = re.sub(r'href="(\.\.[\w./-]+\.(?:py|ipynb))"', r'href="\1/"', text)
    return add(_name(path), content=text)


def _source(page: str, link: str) -> str | None:
    """Return the source file, or folder, that a link on a page leads to."""
    path = (ROOT / page).parent.joinpath(link).resolve()
    if (path / "README.md").exists():
        return None  # a page
    if not path.is_relative_to(ROOT) or not (path.is_dir() or path.suffix in _SOURCES):
        return None
    return _name(path / "__init__.py" if (path / "__init__.py").exists() else path)


_SOURCES = ".py", ".slurm", ".cfg"


def _of_source(path: Path) -> str:
    if path.is_dir():
        names = "\n".join(f"- {inside.name}" for inside in sorted(path.iterdir()))
        return f"# {_name(path)}\n\nThe repository's folder holds:\n\n{names}\n"
    kind = {".py": "python", ".cfg": "ini"}.get(path.suffix, "sh")
    return f"# {_name(path)}\n\n````{kind}\n{path.read_text('utf-8')}````\n"


def _of_notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    text, more = nbconvert.MarkdownExporter().from_filename(path)
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    return text, more["outputs"]


def _links_to_pages(page: str, text: str) -> str:
    """Point links to files that are pages here to these pages."""

    def changed(match: re.Match) -> str:
        link, anchor = match[1], match[2] or ""
        if ((ROOT / page).parent / link / "README.md").exists():
            return f"]({link.rstrip('/')}/README.md{anchor})"
        place = _source(page, link)
        if place is None:
            notebook = ".md" if link.endswith(".ipynb") else ""
            return f"]({link}{notebook}{anchor})"
        inner = "/__init__.py" * place.endswith("/__init__.py")
        return f"]({link.rstrip('/').removesuffix(inner)}{inner}.md{anchor})"

    return _LINK.sub(changed, text)


def _with_formulas(text: str) -> str:
    """Turn TeX between dollars, and in blocks of its own, into MathML; leave code alone."""

    def changed(match: re.Match) -> str:
        block, line = match[1] or match[2], match[3]
        if block:
            block = block.replace("aligned", "align*")  # the same, and known to it
            return f'\n<div class="formula">{convert(block, display="block")}</div>\n'
        # In a span, as a line that begins with <math> would end the paragraph.
        return f"<span>{convert(line)}</span>" if line else match[0]

    return _ANYTHING.sub(changed, text)
