"""One module for each outside system; plain classes that know no Dagster."""
