"""What the data says before anything is trained.

study.yaml, table or folder → `reading` → `material` → one analysis after another (`run`) → `document` → `page`.
"""

from tamesu.look.finding import Finding, Part, Suggestion
from tamesu.look.look import Look, look_at, open_study, write_ideas

__all__ = ["Finding", "Look", "Part", "Suggestion", "look_at", "open_study", "write_ideas"]
