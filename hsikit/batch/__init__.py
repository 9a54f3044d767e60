"""Many scenes: orders from a list, worker processes that fill them, and a ledger of what is done.

    orders ──► ledger (what is missing) ──► executor ──► workers, each one `hsikit.run` at a time
                  └──► status, summary (HTML), collection (STAC)

Units of work are scenes. Within a scene the engine's own ledger resumes; here one SQLite file knows the scenes.
"""

from hsikit.batch.cluster import Cluster
from hsikit.batch.job_files import read_orders
from hsikit.batch.orders import Order
from hsikit.batch.pages import check_pages
from hsikit.batch.plan import BatchPlan, plan_batch
from hsikit.batch.run import Outcome, run_batch
from hsikit.batch.status import Status, read_status

__all__ = ["BatchPlan", "Cluster", "Order", "Outcome", "Status", "check_pages", "plan_batch", "read_orders", "read_status", "run_batch"]
