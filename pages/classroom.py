"""The Classroom page: a room for a class."""

from replora.ui.classroom.page import classroom_page
from replora.ui.shell.frame import guard

guard()
classroom_page()
