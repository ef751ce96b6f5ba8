"""Methods against the truth: tables, figures, reports."""
