"""Small programs: ``python -m parlour.examples.echo TICKET``."""
