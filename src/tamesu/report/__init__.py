"""What was found, for people and for programs: one plain dict, and one HTML file made from it."""

from __future__ import annotations

from tamesu.report.html import render_report, write_report
from tamesu.report.pictures import worst_pictures
from tamesu.report.schema import check_summary
from tamesu.report.summary import summarise
from tamesu.report.table import verdict_table

__all__ = ["check_summary", "render_report", "summarise", "verdict_table", "worst_pictures", "write_report"]
