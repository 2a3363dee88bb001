"""The Runs page: the history of all runs."""

from replora.ui.frame import guard
from replora.ui.runs_page import runs_page

guard()
runs_page()
