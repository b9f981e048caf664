"""What a worker process holds before its first task."""

from importlib import import_module

from crypto_pool.workflow.training import import_libraries

EXPLAINING_AND_LOGGING = (
    "matplotlib.backends.backend_agg",
    "mlflow.store.tracking.sqlalchemy_store",
    "shap",
    "skops.io",
)


def warm_up_worker() -> None:
    """Import what training, explaining and logging any candidate needs, and start JAX."""
    import_libraries()
    for name in EXPLAINING_AND_LOGGING:
        import_module(name)
    import_module("jax.numpy").zeros(1).block_until_ready()
