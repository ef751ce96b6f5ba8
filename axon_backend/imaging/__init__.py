"""X-rays and CTs from files and back; the thorax frame; HU windows."""
