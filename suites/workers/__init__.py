"""Worker processes: how they start, what one does when it is asked, and how it is lost."""
