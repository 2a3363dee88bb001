"""The guided tour: its stations, the panel beside the page, and how far one is."""
