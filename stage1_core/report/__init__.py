"""What people read before they release: figures and one self-contained HTML page. Nothing here decides anything."""
