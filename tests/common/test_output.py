"""One call displays both forms in a notebook, and prints the plain one elsewhere."""

import json
import subprocess
import sys

from dlbook_lib.common.output import display_both

NOTEBOOK = """
import json
from IPython.testing.globalipapp import get_ipython
from IPython.utils.capture import capture_output
get_ipython()
from dlbook_lib.common.output import display_both
with capture_output(display=True) as captured:
    display_both("plain", "<b>rich</b>", {"dlbook_claim": {"value": 1}})
(output,) = captured.outputs
print(json.dumps([captured.stdout, output.data, output.metadata]))
"""


def test_without_a_notebook_the_plain_form_is_printed(capsys):
    display_both("plain", "<b>rich</b>")
    assert capsys.readouterr().out == "plain\n"


def test_a_notebook_gets_both_forms_and_the_metadata():
    run = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, check=True
    )
    printed, data, metadata = json.loads(run.stdout.splitlines()[-1])
    assert printed == ""
    assert data == {"text/plain": "plain", "text/html": "<b>rich</b>"}
    assert metadata == {"dlbook_claim": {"value": 1}}
