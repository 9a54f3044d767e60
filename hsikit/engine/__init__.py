"""The engine: runs any Job over one scene, tile by tile, in bounded memory, resumable.

`run_job` writes finished files; `compute` gives arrays and small results back. The parts, in the order a tile meets them:
`plan` (which tiles, how much memory), `read` (strips, each read once, cut into tiles), `stages` (worker threads around the
compute), `layerfile` (what is written between stages), `ledger` (what is done), `deliver` (from working files to products).
"""

from hsikit.engine.compute import Result, compute
from hsikit.engine.options import RunOptions
from hsikit.engine.run import RunReport, run_job

__all__ = ["Result", "RunOptions", "RunReport", "compute", "run_job"]
