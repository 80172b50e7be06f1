"""Settings of the site: `make docs` builds it, with warnings as errors."""

import os
import re
import sys
from importlib.metadata import version as installed
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project, author, copyright = "brenier", "The brenier developers", "The brenier developers"
release = version = installed("brenier")

extensions = [
    "brenier_pages",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

# Pages in Markdown.
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
highlight_language = "none"  # of blocks that do not say theirs: what commands print

# Formulas are set by the reader's browser, with MathJax from its network. `MATHJAX_PATH` names a copy for reading
# without one, a file or an address; it goes into the pages as it is.
if "MATHJAX_PATH" in os.environ:
    mathjax_path = os.environ["MATHJAX_PATH"]

# Docstrings: Google style; a word in single backticks is code.
default_role = "code"
smartquotes_action = "D"  # dashes; quotation marks stay as they are typed
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_inherit_docstrings = True
add_module_names = False

# Every reference to a name of this package has to resolve; others would need their indices from the network.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!brenier).*"), (r"py:.*", r"brenier\.(.*\.)?_.*")]

# The gallery's scripts run while the pages are built.
gallery = HERE.parent / "examples" / "gallery"
if any(gallery.glob("plot_*.py")):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": "../examples/gallery",
        "gallery_dirs": "gallery",
        "filename_pattern": "plot_",
        "within_subsection_order": "FileNameSortKey",
        "abort_on_example_error": True,
        "remove_config_comments": True,
        "image_srcset": ["2x"],
        "show_memory": False,
        "min_reported_time": 1e9,
    }

html_theme = "furo"
html_title = "brenier"
html_static_path = ["_static"]
html_css_files = ["brenier.css"]
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2f5d8a", "color-brand-content": "#2f5d8a"},
    "dark_css_variables": {"color-brand-primary": "#8fb8de", "color-brand-content": "#8fb8de"},
}
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True


def skip(app: object, what: str, name: str, member: object, unwanted: bool, options: object) -> bool | None:
    """Leave out what scikit-learn and named tuples add: methods of metadata routing, fields described above them."""
    added = re.fullmatch(r"set_\w+_request|get_metadata_routing", name)
    return True if added or str(member.__doc__).startswith("Alias for field number") else None


def shorten(app: Sphinx, domain: str, kind: str, content: object) -> None:
    """Write types as the code does: what stands behind `ArrayLike` and a shape fills a line otherwise."""
    for types in app.env.current_document.autodoc_annotations.values():
        for name, text in types.items():
            text = re.sub(r"~?numpy\._typing\._array_like\._Buffer.*?\bstr\](?=$| \|)", "ArrayLike", text)
            text = re.sub(r"~?numpy\.ndarray\[tuple\[[^\]]*\], \S*dtype\[\S*?(\w+)\]\]", r"NDArray[\1]", text)
            types[name] = re.sub(r"jaxlib\._jax\.Array", "Array", text)


def trailing(app: Sphinx, what: str, name: str, member: object, options: object, lines: list[str]) -> None:
    """Keep the underscore at the end of learned attributes, which would make them links."""
    lines[:] = [re.sub(r"^(:(?:ivar|vartype) \w*)_:", r"\1\_:", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("object-description-transform", shorten, priority=400)
    app.connect("autodoc-process-docstring", trailing, priority=900)
    app.connect("autodoc-skip-member", skip)
