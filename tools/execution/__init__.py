"""One execution, validated: a page runs under nbval, and that very run is rendered.

`key` says when a page has to run again, `notebook` what of a run is stored, `store`
keeps the outputs of runs, `plugin` is loaded into pytest beside nbval, `run` starts
pytest on the pages that need it, `render` hands the kept outputs to Sphinx.
"""
