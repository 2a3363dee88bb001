"""The Guided tour page: all stations."""

from replora.ui.shell.frame import guard
from replora.ui.tour.page import tour_page

guard()
tour_page()
