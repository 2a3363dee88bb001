"""The Runs page: the history of all runs."""

from replora.ui.runs.page import runs_page
from replora.ui.shell.frame import guard

guard()
runs_page()
