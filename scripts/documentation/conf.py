"""Settings of Sphinx for the documentation site."""

from functools import cache
from typing import Any, Final

from docutils import nodes
from sphinx.addnodes import toctree
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import pygnc_system
from scripts.documentation import links, maths

project: Final = "PyGNC"
version: Final = pygnc_system.__version__
extensions: Final = ["myst_parser"]
myst_enable_extensions: Final = ["attrs_inline", "dollarmath"]
myst_heading_anchors: Final = 4
myst_links_external_new_tab: Final = False
nitpicky: Final = True
nitpick_ignore_regex: Final = [("py:.*", ".*")]  # types of other libraries, whose sites are not read while building
html_theme: Final = "furo"
html_title: Final = f"PyGNC {version}"
html_static_path: Final = [str(links.ROOT / "docs/_static")]
html_css_files: Final = ["site.css"]
html_copy_source: Final = False
html_show_sourcelink: Final = False
html_show_copyright: Final = False
html_math_renderer: Final = "mathml"
highlight_language: Final = "text"  # of blocks without a language
html_theme_options: Final = {"navigation_with_keys": True}


def setup(app: Sphinx) -> None:
    """Register the renderer of formulas, and the navigation of titles before the theme makes it at priority 500."""
    app.add_html_math_renderer("mathml", (maths.visit_inline, None), (maths.visit_block, None))
    app.connect("html-page-context", prepare_navigation, priority=400)


def prepare_navigation(app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: object) -> None:
    """Let the theme make the navigation of a page from titles.

    Sphinx copies all headings of all pages for each page, which took two thirds of the time of a build, and then leaves
    out all but the titles.
    """
    complete = context["toctree"]

    def of_titles(**options: Any) -> str:  # noqa: ANN401 - those of Sphinx
        if not options.get("titles_only"):
            return str(complete(**options))
        headings, app.env.tocs = app.env.tocs, titles_of(app.env)
        try:
            return str(complete(**options))
        finally:
            app.env.tocs = headings

    context["toctree"] = of_titles


@cache
def titles_of(environment: BuildEnvironment) -> dict[str, nodes.bullet_list]:
    """Return the titles of all pages; the environment has read all of them."""
    return {page: titles_in(headings) for page, headings in environment.tocs.items()}


def titles_in(headings: nodes.bullet_list) -> nodes.bullet_list:
    """Return the title of a page and its navigation to other pages, without its other headings."""
    titles = headings.deepcopy()
    for title in titles.children:
        if isinstance(title, nodes.Element) and len(title) > 1:
            if others := list(title.findall(toctree)):
                title[1][:] = others
            else:
                title.pop(1)
    return titles
