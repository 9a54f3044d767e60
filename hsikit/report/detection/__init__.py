"""The report of a detection: what was looked for, where it was found, and with truth how well.

`scores`, `hits` and `truth` read the files, `worth` scores, `gather` makes plain values of it (`content`), `figures` draws, `words` says it in
sentences, `render` makes the page.
"""

from hsikit.report.detection.write import write_detection_report

__all__ = ["write_detection_report"]
