"""One output, two readings: stable text for the stored notebook, HTML for the page."""


def display_both(text, html, metadata=None):
    """Display `html` where it can be rendered, with `text` as its plain form.

    Parameters
    ----------
    text : str
        Kept in the stored notebook and compared at each run, so it must hold nothing
        that changes from run to run. Printed where there is no notebook.
    html : str
    metadata : dict, optional
        Goes into the output's metadata; must be JSON.
    """
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(text)
    else:
        bundle = {"text/plain": text, "text/html": html}
        display(bundle, raw=True, metadata=metadata or {})
