"""Reports: one self-contained page that says what a map shows and what it is worth, and `run.json` with every number in it.

`gather` collects plain values (`content`), `figures` draws, `words` and `references` say it in sentences, `render` makes the page.
"""

from hsikit.report.write import write_report

__all__ = ["write_report"]
