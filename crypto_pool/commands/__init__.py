"""The commands of `crypto-pool`, one module a topic; `crypto_pool.cli` registers them.

A command is a plain function with Typer annotations. Heavy libraries are imported inside it,
so that `crypto-pool --help` stays instant.
"""
