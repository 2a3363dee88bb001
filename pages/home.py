"""The first page: what this is, and three ways in."""

from replora.ui.home.page import home_page
from replora.ui.shell.frame import guard

guard()
home_page()
