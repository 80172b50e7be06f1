"""One HTML page about a map: certificate, training, inverse, columns, displacements, settings."""

from brenier.report.write import ROWS, Report, write_report

__all__ = ["ROWS", "Report", "write_report"]
