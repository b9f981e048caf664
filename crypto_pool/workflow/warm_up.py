"""What a worker process holds before its first task."""

from importlib import import_module

from crypto_pool.adapters.mlflow.skops_files import sparing_skops
from crypto_pool.workflow.training import import_libraries

EXPLAINING_AND_LOGGING = (
    "matplotlib.backends.backend_agg",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "shap",
)


def warm_up_fits() -> None:
    """Import what fitting any candidate needs, and start JAX."""
    import_libraries()
    import_module("jax.numpy").zeros(1).block_until_ready()


def warm_up_worker() -> None:
    """Import what training, explaining and logging any candidate needs, and start JAX."""
    warm_up_fits()
    for name in EXPLAINING_AND_LOGGING:
        import_module(name)
    sparing_skops()
