"""Reading and writing of X-rays and CTs; the thorax frame; HU windows."""
